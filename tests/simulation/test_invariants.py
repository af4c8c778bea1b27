"""The invariants hold under seeded faults, on the real replication code in virtual time.

A failing seed is printed with its faults; `python -m tests.simulation.soak --world area --first SEED --seeds 1` runs it
again.
"""

from __future__ import annotations

import pytest

from tests.simulation.faults import run

SEEDS = 240
CHUNK = 20


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_nothing_acknowledged_is_lost_and_nothing_seen_is_undone(first: int) -> None:
    takeovers = acknowledged = 0
    for seed in range(first, first + CHUNK):
        world = run(seed)
        takeovers += world.oracle.takeovers
        acknowledged += len(world.oracle.acked)
    # Runs without takeovers and commands would prove nothing.
    assert takeovers > 3 * CHUNK
    assert acknowledged > 100 * CHUNK


def test_a_seed_is_the_same_run_every_time() -> None:
    first, second = run(3), run(3)
    assert first.oracle.records == second.oracle.records
    assert first.oracle.digests == second.oracle.digests
    assert first.clock.now == second.clock.now
