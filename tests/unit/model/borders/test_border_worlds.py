"""Areas of the product in a world that does its worst: no entity is lost or doubled, and no command runs twice.

The network loses, doubles, delays and reorders messages, ticks are computed and never committed, grants come in any
order, and clients spawn ids that exist in another area. The world and its checks are those of the model.
"""

from __future__ import annotations

import pytest

from tests.unit.model.borders.worlds import ProductWorld

STEPS = 250


@pytest.mark.parametrize("seed", range(16))
def test_no_walk_breaks_an_invariant(seed: int) -> None:
    ProductWorld(seed).run(STEPS)
