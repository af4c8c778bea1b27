"""A thread is woken as soon as it has work: how long changes take in virtual time, where threads wake as real ones do.

A message takes at most 2 ms here, and each change some round trips. A thread that is not woken would sleep until the
next heartbeat (30 ms) or ping (200 ms).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pairsim.replication.raft import node
from tests.simulation.process import SimProcess
from tests.simulation.test_changes import pair
from tests.simulation.world import World

SEEDS = range(12)
LIMIT_SECONDS = 0.026


def redundant_world(seed: int) -> tuple[World, SimProcess, SimProcess]:
    """Returns a redundant world with its active and its passive."""
    world = World(seed)
    world.settle(lambda: None)
    world.run(0.3)
    active, passive = pair(world)
    return world, world.processes[active], world.processes[passive]


def leads(process: SimProcess) -> bool:
    return process.replica is not None and process.replica.active is not None


def seconds_until(world: World, condition: Callable[[], bool]) -> float:
    """Returns the seconds until the condition holds."""
    began = world.clock.now
    while not condition():
        assert world.clock.now < began + 5.0
        world.run(0.0002)
    return world.clock.now - began


def take_over(seed: int) -> float:
    world, active, passive = redundant_world(seed)
    active.crash()
    return seconds_until(world, lambda: leads(passive))


def take_over_that_the_witness_allows_later(seed: int) -> float:
    """The witness sees the loss of the active a few milliseconds after the passive, which has to ask again."""
    world, active, passive = redundant_world(seed)
    way = active.name, "w"
    world.network.cut.add(way)
    active.crash()
    world.run(0.003)
    world.network.cut.discard(way)
    return seconds_until(world, lambda: leads(passive))


def hand_over(seed: int) -> float:
    world, active, passive = redundant_world(seed)
    assert active.replica is not None
    assert active.replica.active is not None
    request = active.replica.active.request_handover(passive.name, None, world.clock.now + 5.0)
    seconds_until(world, lambda: request.sent)
    return seconds_until(world, lambda: leads(passive))


def enter_the_next_generation(seed: int) -> float:
    world, active, passive = redundant_world(seed)
    assert active.replica is not None
    assert active.replica.active is not None
    following = world.generation(2, ("a", "b"), ("0",), "0")
    world.processes["0"].start(following)
    world.run(0.5)
    request = active.replica.active.request_handover(passive.name, following, world.clock.now + 5.0)
    seconds_until(world, lambda: request.sent)
    return seconds_until(
        world, lambda: leads(active) and active.membership is not None and active.membership.assignment == following
    )


CHANGES = [take_over, take_over_that_the_witness_allows_later, hand_over, enter_the_next_generation]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_takes_no_longer_than_its_messages(change: Callable[[int], float], seed: int) -> None:
    assert change(seed) <= LIMIT_SECONDS


@pytest.mark.parametrize("seed", SEEDS)
def test_a_passive_applies_a_tick_as_soon_as_it_has_frame_and_commit(seed: int) -> None:
    world, _active, passive = redundant_world(seed)
    assert passive.replica is not None
    longest, began, end = 0.0, world.clock.now, world.clock.now + 1.0
    while world.clock.now < end:
        world.run(0.0002)
        if not passive.replica.follower.ready():
            began = world.clock.now
        longest = max(longest, world.clock.now - began)
    assert longest <= 0.002


def forgets_to_wake(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(node.RaftNode, "transfer_leadership", lambda self, peer: setattr(self._transfer, "target", peer))


def sleeps_in_the_middle(patch: pytest.MonkeyPatch) -> None:
    """Makes every wait last until the next ping, whatever else is due."""
    patch.setattr(node.RaftNode, "_idle_seconds", lambda self, _now: self._timing.ping)


@pytest.mark.parametrize(
    ("fault", "change"),
    [(forgets_to_wake, hand_over), (sleeps_in_the_middle, take_over_that_the_witness_allows_later)],
)
def test_a_missing_wake_up_is_found(
    monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None], change: Callable[[int], float]
) -> None:
    fault(monkeypatch)
    assert max(change(seed) for seed in SEEDS) > LIMIT_SECONDS
