"""The rules about engines hold under every schedule of small configurations and in long random walks, and can fail."""

from __future__ import annotations

import contextlib
import random

import pytest

from tests.simulation.models.engine_rules import Rules
from tests.simulation.models.exploration import ImpossibleStepError, follow, search, walk
from tests.simulation.models.pair import Budget, Violation
from tests.simulation.models.planted_rules import SETTINGS, WAYS, Setting

WALKS = 1200
"""Random walks over the rules as they are; a planted fault may take more."""

MOST_WALKS = 20_000


def random_walk(rules: Rules, seed: int) -> None:
    """Walks through a configuration that the seed chooses."""
    rng = random.Random(seed)
    commands = rng.choice((("raises", "good"), ("crashes", "good"), ("good",), ("raises", "crashes")))
    ticks, ahead = rng.choice((1, 2, 4)), rng.choice((1, 2))
    budget = Budget(
        failures=rng.randrange(4), kills=rng.randrange(3), elections=rng.randrange(3),
        edits=rng.randrange(2), restarts=rng.randrange(3), updates=rng.choice((0, 0, 1, 2)),
    )  # fmt: skip
    walk(*Setting(commands, ticks, ahead, budget).begin(rules), seed, rng.choice((40, 80, 160)))


def test_no_random_walk_breaks_an_invariant() -> None:
    for seed in range(WALKS):
        random_walk(Rules(), seed)


@pytest.mark.parametrize(
    ("commands", "budget"),
    [
        pytest.param(("raises",), Budget(), id="a-command-raises"),
        pytest.param(("crashes",), Budget(), id="a-command-crashes"),
    ],
)
def test_no_schedule_breaks_an_invariant(commands: tuple[str, ...], budget: Budget) -> None:
    assert search(*Setting(commands, 1, 1, budget).begin(Rules()), limit=100_000, rest_every=100) > 1000


def explore(planted: type[Rules]) -> None:
    """Goes through worlds with a planted fault until it shows."""
    if planted in WAYS:
        setting, way = WAYS[planted]
        follow(*setting.begin(planted()), way)
    for seed in range(MOST_WALKS):
        if planted in SETTINGS:
            walk(*SETTINGS[planted].begin(planted()), seed, steps=100)
        else:
            random_walk(planted(), seed)


@pytest.mark.parametrize("planted", Rules.__subclasses__(), ids=lambda planted: planted.__name__)
def test_a_planted_fault_is_found(planted: type[Rules]) -> None:
    with pytest.raises(Violation):
        explore(planted)


@pytest.mark.parametrize("planted", WAYS, ids=lambda planted: planted.__name__)
def test_the_rules_do_not_lead_where_a_planted_fault_leads(planted: type[Rules]) -> None:
    setting, way = WAYS[planted]
    with contextlib.suppress(ImpossibleStepError):
        follow(*setting.begin(Rules()), way)
