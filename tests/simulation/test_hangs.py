"""One thread of an active hangs while the rest of its process goes on: the area must go on with the passive."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.area import Detection
from pairsim.model.status import Succession
from pairsim.replication.hang_watch import HANGS_AFTER_SECONDS
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.sync.simulator_calls import SimulatorCall
from tests.simulation.world import World

SEEDS = range(6)


def settled(seed: int, detection: Detection | msgspec.UnsetType = msgspec.UNSET) -> tuple[World, AreaNode, AreaNode]:
    """Returns a redundant world, its active and its passive."""
    world = World(seed, detection=detection)
    world.settle(lambda: None)
    active = world.active()
    assert active is not None
    nodes = [world.processes[name].node for name in (active.name, "b" if active.name == "a" else "a")]
    first, second = nodes
    assert isinstance(first, AreaNode)
    assert isinstance(second, AreaNode)
    return world, first, second


def hang(world: World, node: AreaNode, thread: str) -> None:
    name = next(name for name, process in world.processes.items() if process.node is node)
    world.processes[name].hanging = thread


def leads(node: AreaNode) -> bool:
    return node.membership.group.open_term is not None


@pytest.mark.parametrize("seed", SEEDS)
def test_an_active_whose_replica_thread_hangs_hands_over(seed: int) -> None:
    world, active, passive = settled(seed)
    hang(world, active, "replica")
    world.run(HANGS_AFTER_SECONDS - 1.0)
    assert leads(active), "a short pause is not a hang"
    stood_at = passive.log.tick
    world.run(4.0)
    assert not leads(active)
    assert leads(passive)
    assert passive.log.tick > stood_at + 5
    assert passive.replica.succession is Succession.HANDED_OVER
    assert "hangs" in active.problem
    hang(world, active, "")
    world.settle(lambda: None)
    world.check_end()
    assert not active.problem


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("milliseconds", [100, 1000])
def test_a_silent_active_is_replaced_after_the_election_timeout_of_its_plane(seed: int, milliseconds: int) -> None:
    world, active, passive = settled(seed, Detection(election_timeout_ms=milliseconds))
    world.halt(active.membership.me)
    world.run(0.9 * milliseconds / 1000)
    assert not leads(passive)
    world.run(4 * milliseconds / 1000)
    assert leads(passive)
    world.resume(active.membership.me)
    world.settle(lambda: None)
    world.check_end()


@pytest.mark.parametrize("seed", SEEDS)
def test_an_active_whose_raft_thread_hangs_is_replaced_at_once(seed: int) -> None:
    """No heartbeat comes from it, whatever its replica thread does."""
    world, active, passive = settled(seed)
    hang(world, active, "raft")
    world.run(3.0)
    assert leads(passive)
    stood_at = active.log.tick
    world.run(2.0)
    assert (active.log.tick, passive.log.tick > stood_at + 5) == (stood_at, True)
    assert active.replica.published is not None
    assert active.replica.published.tick <= stood_at
    hang(world, active, "")
    world.settle(lambda: None)
    world.check_end()


def test_a_hang_in_the_simulators_code_is_no_reason_to_hand_over() -> None:
    """The passive would run into the same call."""
    world, active, passive = settled(3)
    hang(world, active, "replica")
    active.replica.calls.current = SimulatorCall("step", active.replica.state.tick + 1, (), world.clock.now)
    world.run(3 * HANGS_AFTER_SECONDS)
    assert leads(active)
    assert not leads(passive)


def test_an_active_that_hangs_without_a_passive_goes_on_when_it_wakes() -> None:
    world, active, passive = settled(5)
    name = active.other_replica().replica
    world.halt(name)
    hang(world, active, "replica")
    world.run(2 * HANGS_AFTER_SECONDS)
    assert leads(active)
    before = active.log.tick
    hang(world, active, "")
    world.run(1.0)
    assert leads(active)
    assert active.log.tick > before
    assert not leads(passive)
    world.settle(lambda: None)
    world.check_end()
