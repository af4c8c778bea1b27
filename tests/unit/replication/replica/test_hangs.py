"""The Raft thread of an active hands over while the replica thread hangs."""

from __future__ import annotations

import pytest

from pairsim.replication.hang_watch import HANGS_AFTER_SECONDS
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.sync.simulator_calls import SimulatorCall
from tests.simulation.conftest import virtual_time  # noqa: F401 - the fixture puts the clock back
from tests.simulation.world import World
from tests.unit.replication.replica.test_node import pair_of

STEP = 0.1


@pytest.fixture
def pair() -> tuple[AreaNode, AreaNode]:
    """An active and its passive; nothing moves them any more."""
    world = World(4)
    world.settle(lambda: None)
    return pair_of(world)


def watch(node: AreaNode) -> None:
    """Lets the Raft thread look for as long as it takes to recognise a hang."""
    for number in range(round(HANGS_AFTER_SECONDS / STEP) + 2):
        node._watch_replica_thread(node.replica.due + STEP * number)


def target(node: AreaNode) -> str | None:
    return node.membership.group._transfer.target


def test_an_active_whose_replica_thread_hangs_hands_over_to_the_passive(pair: tuple[AreaNode, AreaNode]) -> None:
    active, passive = pair
    watch(active)
    assert target(active) == active.other_replica().replica
    assert active.problem == "its replica thread hangs: restart the process"
    watch(passive)
    assert target(passive) is None


def test_a_call_of_the_simulator_that_does_not_return_is_no_reason(pair: tuple[AreaNode, AreaNode]) -> None:
    active, _passive = pair
    active.replica.calls.current = SimulatorCall("step", 9, (), active.replica.due)
    watch(active)
    assert (target(active), active.problem) == (None, "")


def test_a_passive_that_cannot_go_on_is_not_asked(pair: tuple[AreaNode, AreaNode]) -> None:
    active, _passive = pair
    ping = active.membership.group.peer_ping(active.other_replica().replica)
    assert ping is not None
    ping.capable = False
    watch(active)
    assert target(active) is None
    assert active.problem, "an operator learns of it all the same"


def test_an_active_that_goes_on_keeps_its_leadership(pair: tuple[AreaNode, AreaNode]) -> None:
    active, _passive = pair
    watch(active)
    active.replica.due += HANGS_AFTER_SECONDS + 1.0
    active._watch_replica_thread(active.replica.due)
    assert (target(active), active.problem) == (None, "")
