"""The product's borders and their model compute the same, tick by tick."""

from __future__ import annotations

import pytest

from tests.unit.model.borders.worlds import SideBySideWorld

STEPS = 250


@pytest.mark.parametrize("seed", range(24))
def test_the_product_does_what_the_model_does(seed: int) -> None:
    SideBySideWorld(seed).run(STEPS)
