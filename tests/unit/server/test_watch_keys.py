"""What a watcher learns at once: everything that decisions and verdicts depend on."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.status import Role
from pairsim.server.control.watch import replica_key, witness_key
from tests.unit.controller.builders import assignment, replica, witness

PAIR = assignment("sim-1", "sim-2", "witness-1")
GROUP = witness("witness-1", PAIR).areas[0]


@pytest.mark.parametrize(
    "change",
    [{"generation": 2}, {"term": 2}, {"leader": "sim-2"}, {"members": ("a", "b", "c")}, {"votes": False}],
    ids=str,
)
def test_a_witnesss_part_in_a_group(change: dict[str, object]) -> None:
    before = witness("witness-1", PAIR)
    after = msgspec.structs.replace(before, areas=(msgspec.structs.replace(GROUP, **change),))
    assert witness_key(after) != witness_key(before)


@pytest.mark.parametrize(
    "change",
    [
        {"role": Role.PASSIVE}, {"area": "east"}, {"generation": 2}, {"term": 2}, {"epoch": 2}, {"leader": "sim-2"},
        {"members": ("a", "b", "c")}, {"in_sync": False}, {"peer_in_sync": True}, {"leaving": True},
    ],
    ids=str,
)  # fmt: skip
def test_a_replicas_part(change: dict[str, object]) -> None:
    before = replica("sim-1", PAIR, Role.ACTIVE)
    assert replica_key(msgspec.structs.replace(before, **change)) != replica_key(before)


def test_ticks_wait_for_the_next_refresh() -> None:
    before = replica("sim-1", PAIR, Role.ACTIVE)
    assert replica_key(msgspec.structs.replace(before, tick=9, entities=9, digest="x")) == replica_key(before)
    later = msgspec.structs.replace(GROUP, tick=99)
    assert witness_key(msgspec.structs.replace(witness("witness-1", PAIR), areas=(later,))) == witness_key(
        witness("witness-1", PAIR)
    )
