"""Several areas are one world under seeded faults, on the real replication code in virtual time.

A failing seed is printed with its faults: `python -m tests.simulation.soak --world plane --first SEED --seeds 1` runs
it again.
"""

from __future__ import annotations

import pytest

from tests.simulation.plane.faults import run

SEEDS = 200
CHUNK = 20


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_entity_is_lost_or_doubled_and_no_command_runs_twice(first: int) -> None:
    taken = cuts = takeovers = applied = conflicts = 0
    for seed in range(first, first + CHUNK):
        world = run(seed)
        oracle = world.oracle
        taken += len(oracle.seconds)
        cuts += oracle.cuts
        takeovers += sum(area.takeovers for area in oracle.areas.values())
        applied += world.client.applied
        conflicts += sum(chronicle.newest.borders.counters.conflicts for chronicle in oracle.chronicles.values())
    # Runs in which little happens would prove nothing.
    assert taken > 10 * CHUNK
    assert cuts > 20 * CHUNK
    assert takeovers > 3 * CHUNK
    assert applied > 40 * CHUNK
    assert conflicts > CHUNK // 4


def test_a_seed_is_the_same_run_every_time() -> None:
    first, second = run(3), run(3)
    assert first.clock.now == second.clock.now
    for one, other in zip(first.oracle.areas.values(), second.oracle.areas.values(), strict=True):
        assert (one.records, one.digests) == (other.records, other.digests)
