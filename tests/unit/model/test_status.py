"""The significant part of a status: everything that decisions, labels and verdicts depend on."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.crossings.border_status import BorderStatus, NeighbourStatus
from pairsim.model.status import SLOW_PACE, Role, SimulatorPhase, SimulatorState
from tests.unit.controller.builders import assignment, replica, witness

PAIR = assignment("sim-1", "sim-2", "witness-1")
GROUP = witness("witness-1", PAIR).areas[0]


@pytest.mark.parametrize(
    "change",
    [{"generation": 2}, {"term": 2}, {"leader": "sim-2"}, {"members": ("a", "b", "c")}, {"votes": False}, {"tick": 0}],
    ids=str,
)
def test_a_change_of_a_witness_group_is_significant(change: dict[str, object]) -> None:
    before = msgspec.structs.replace(witness("witness-1", PAIR), areas=(msgspec.structs.replace(GROUP, tick=5),))
    after = msgspec.structs.replace(before, areas=(msgspec.structs.replace(before.areas[0], **change),))
    assert after.areas[0].significant() != before.areas[0].significant()
    assert after.significant() != before.significant()


def test_the_groups_of_a_witness_and_its_leaving_are_significant() -> None:
    before = witness("witness-1", PAIR)
    assert msgspec.structs.replace(before, leaving=True).significant() != before.significant()
    assert msgspec.structs.replace(before, areas=()).significant() != before.significant()


@pytest.mark.parametrize(
    "change",
    [
        {"role": Role.PASSIVE}, {"area": "east"}, {"generation": 2}, {"term": 2}, {"version": 2}, {"number": 2},
        {"leader": "sim-2"},
        {"members": ("a", "b", "c")}, {"in_sync": False}, {"peer_in_sync": True}, {"leaving": True}, {"tick": 0},
        {"pace": SLOW_PACE - 0.01}, {"divergences": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_change_of_a_replica_is_significant(change: dict[str, object]) -> None:
    before = replica("sim-1", PAIR, Role.ACTIVE)
    assert msgspec.structs.replace(before, **change).significant() != before.significant()


def test_a_neighbour_that_takes_nothing_for_long_is_significant_once() -> None:
    def waits(seconds: float) -> object:
        borders = BorderStatus(neighbours=(NeighbourStatus(number=2, waiting=round(seconds), waiting_seconds=seconds),))
        return msgspec.structs.replace(replica("sim-1", PAIR, Role.ACTIVE), borders=borders).significant()

    assert waits(1.0) == waits(4.9) != waits(5.0) == waits(9.0)


def test_ticks_counts_and_times_are_not_significant() -> None:
    before = msgspec.structs.replace(replica("sim-1", PAIR, Role.ACTIVE), borders=BorderStatus())
    after = msgspec.structs.replace(before, tick=9, synced_tick=9, entities=9, digest="x", pace=SLOW_PACE, tick_ms=3.0)
    after = msgspec.structs.replace(after, received_bytes=9, borders=BorderStatus(sent=9, out_per_second=2.0))
    assert after.significant() == before.significant()
    group = msgspec.structs.replace(GROUP, tick=5)
    assert msgspec.structs.replace(group, tick=99).significant() == group.significant()


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [(0.0, "has begun to compile"), (0.5, "has begun to compile"), (0.6, "has been compiling for 1 s")],
)
def test_a_duration_of_zero_seconds_is_not_shown(seconds: float, sentence: str) -> None:
    assert SimulatorState("west", SimulatorPhase.COMPILING, seconds).predicate == sentence
