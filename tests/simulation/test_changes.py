"""The new active counts takeovers and switchovers, because the old active may be gone at the next scrape."""

from __future__ import annotations

import pytest

from pairsim.model.status import Succession
from tests.simulation.world import World

SEEDS = range(8)


def succession(world: World, name: str) -> Succession | None:
    """Returns why a replica followed the active before it."""
    replica = world.processes[name].replica
    assert replica is not None
    return replica.succession


def counted(world: World, name: str) -> tuple[int, int]:
    """Returns how many takeovers and switchovers a replica counted."""
    replica = world.processes[name].replica
    assert replica is not None
    return sum(replica.measurements.takeovers.counts), replica.measurements.switchovers


def pair(world: World) -> tuple[str, str]:
    """Returns the names of the active and the passive."""
    active = world.active()
    assert active is not None
    return active.name, "b" if active.name == "a" else "a"


def switched(seed: int) -> tuple[World, str, str]:
    """Returns a world, its old active, and the new active to which the old one handed over."""
    world = World(seed)
    world.settle(lambda: None)
    old, new = pair(world)
    replica = world.processes[old].replica
    assert replica is not None
    assert replica.active is not None
    replica.active.request_handover(new, None, world.clock.now + 1.0)
    world.run(1.0)
    assert pair(world) == (new, old)
    return world, old, new


@pytest.mark.parametrize("seed", SEEDS)
def test_the_new_active_counts_a_handover(seed: int) -> None:
    world, old, new = switched(seed)
    assert (counted(world, new), succession(world, new)) == ((0, 1), Succession.HANDED_OVER)
    assert succession(world, old) is None
    assert counted(world, old) == (0, 0), "neither a first leadership nor handing over is counted"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_replica_that_had_handed_over_counts_a_takeover_when_its_successor_is_lost(seed: int) -> None:
    world, old, new = switched(seed)
    world.processes[new].crash()
    world.run(1.0)
    assert pair(world) == (old, new)
    assert (counted(world, old), succession(world, old)) == ((1, 0), Succession.CLOSED)


def test_a_replica_counts_a_handover_and_a_later_takeover_apart() -> None:
    world, old, new = switched(3)
    world.halt(new)
    world.run(1.0)
    world.resume(new)
    world.settle(lambda: None)
    assert pair(world) == (old, new)
    world.halt(old)
    world.run(1.0)
    assert (counted(world, new), succession(world, new)) == ((1, 1), Succession.SILENT)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_takeover_by_way_of_the_witness_is_not_a_handover(seed: int) -> None:
    world = World(seed)
    world.settle(lambda: None)
    active, passive = pair(world)
    world.network.cut |= {(active, passive), (passive, active)}
    world.run(1.0)
    world.processes[active].crash()
    world.run(3.0)
    assert world.active() is world.processes[passive]
    member = world.processes[passive].membership
    assert member is not None
    assert member.group._transfer.transfer_term is not None, "the witness had the longer log, led, and transferred it"
    assert counted(world, passive) == (1, 0)
