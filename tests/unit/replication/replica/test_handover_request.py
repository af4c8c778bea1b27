"""An active has one handover request at a time, whichever threads ask."""

from __future__ import annotations

import threading

import pytest

from pairsim.replication.replica.active import Active
from pairsim.replication.replica.handover_request import HandoverOutcome, HandoverRequest
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.service import NotActiveError, RefusedError
from tests.simulation.conftest import virtual_time  # noqa: F401 - the fixture puts the clock back
from tests.simulation.world import World

REFUSAL = "the area is being handed over already: wait until it is done"


@pytest.fixture
def world() -> World:
    world = World(4)
    world.settle(lambda: None)
    return world


def active_of(world: World) -> tuple[AreaNode, Active]:
    process = world.active()
    assert process is not None
    assert isinstance(process.node, AreaNode)
    active = process.node.replica.active
    assert active is not None
    return process.node, active


def test_a_second_request_is_refused_while_the_first_is_under_way(world: World) -> None:
    node, active = active_of(world)
    first = node.request_switchover(world.clock.now + 1.0)
    with pytest.raises(RefusedError, match=REFUSAL):
        node.request_switchover(world.clock.now + 1.0)
    assert active.handover is first
    world.run(1.0)
    assert first.outcome is HandoverOutcome.DONE
    with pytest.raises(NotActiveError):
        node.request_switchover(world.clock.now + 1.0)


def test_a_request_for_the_next_generation_does_not_replace_a_switchover(world: World) -> None:
    node, active = active_of(world)
    switchover = node.request_switchover(world.clock.now + 1.0)
    node.advance_to(world.generation(2, ("a", "b"), ("s1",), "s1"))
    assert active.handover is switchover


def test_another_request_may_follow_one_that_failed(world: World) -> None:
    node, active = active_of(world)
    passive = node.other_replica().replica
    world.halt(passive)
    failed = active.request_handover(passive, None, world.clock.now + 0.2)
    world.run(0.5)
    assert failed.outcome is HandoverOutcome.FAILED
    assert active.request_handover(passive, None, world.clock.now + 0.2) is not failed


def test_of_many_threads_that_ask_at_once_one_succeeds(world: World) -> None:
    node, active = active_of(world)
    passive, start = node.other_replica().replica, threading.Barrier(8)
    accepted: list[HandoverRequest] = []
    refused: list[str] = []

    def ask() -> None:
        start.wait()
        try:
            accepted.append(active.request_handover(passive, None, world.clock.now + 1.0))
        except RefusedError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert accepted == [active.handover]
    assert refused == [REFUSAL] * 7
