"""The rules about borders hold in random walks with faults, and each of them can fail."""

from __future__ import annotations

import pytest

from tests.simulation.models.borders import planted_rules
from tests.simulation.models.borders.checks import Violation
from tests.simulation.models.borders.rules import Rules
from tests.simulation.models.borders.world import World

WALKS = 300
"""Random walks over the rules as they are; a planted fault may take more."""

MOST_WALKS = 1000
STEPS = 300


def test_no_random_walk_breaks_an_invariant() -> None:
    for seed in range(WALKS):
        World(Rules(), seed).run(STEPS)


def explore(planted: type[Rules]) -> None:
    """Walks through worlds with a planted fault until it shows."""
    for seed in range(MOST_WALKS):
        World(planted(), seed).run(STEPS)


PLANTED = [kind for kind in vars(planted_rules).values() if isinstance(kind, type) and Rules in kind.__bases__]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_a_planted_fault_is_found(planted: type[Rules]) -> None:
    with pytest.raises(Violation):
        explore(planted)
