"""The new active tells whether another one was lost or handed over to it: that one may be gone at the next scrape."""

from __future__ import annotations

import pytest

from pairsim.model.status import Succession
from tests.simulation.world import World

SEEDS = range(8)


def why(world: World, name: str) -> Succession | None:
    """Why a replica followed the active before it."""
    replica = world.processes[name].replica
    assert replica is not None
    return replica.succession


def counted(world: World, name: str) -> tuple[int, int]:
    """A replica's takeovers and switchovers."""
    replica = world.processes[name].replica
    assert replica is not None
    return sum(replica.meters.takeovers.counts), replica.meters.switchovers


def pair(world: World) -> tuple[str, str]:
    """The active and the passive."""
    active = world.active()
    assert active is not None
    return active.name, "b" if active.name == "a" else "a"


def switched(seed: int) -> tuple[World, str, str]:
    """A world, its old active and the one that it handed over to."""
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
def test_a_handover_is_counted_by_the_one_that_goes_on(seed: int) -> None:
    world, old, new = switched(seed)
    assert (counted(world, new), why(world, new)) == ((0, 1), Succession.HANDED_OVER)
    assert why(world, old) is None
    assert counted(world, old) == (0, 0), "a first leadership is no change, and to hand over is not to take over"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lost_active_is_a_takeover_also_by_the_one_that_had_handed_over(seed: int) -> None:
    world, old, new = switched(seed)
    world.processes[new].crash()
    world.run(1.0)
    assert pair(world) == (old, new)
    assert (counted(world, old), why(world, old)) == ((1, 0), Succession.CLOSED)


def test_a_lost_active_is_a_takeover_also_by_the_one_that_was_handed_over_to() -> None:
    world, old, new = switched(3)
    world.halt(new)
    world.run(1.0)
    world.resume(new)
    world.settle(lambda: None)
    assert pair(world) == (old, new)
    world.halt(old)
    world.run(1.0)
    assert (counted(world, new), why(world, new)) == ((1, 1), Succession.SILENT)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_witness_that_hands_over_what_a_lost_active_had_makes_it_no_handover(seed: int) -> None:
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
    assert member.group._called is not None, "the witness had the longer log, led, and called the passive"
    assert counted(world, passive) == (1, 0)
