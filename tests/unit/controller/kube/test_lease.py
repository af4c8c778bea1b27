from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from pairsim_controller.kube.api.lease import Lease
from pairsim_controller.kube.api.port import ApiError, Body, ChangedError, Resource


class Store:
    """A lease on an API server that may be slow, unreachable, or lose its answers."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self.body: dict[str, Any] | None = None
        self.version = 0
        self.rng = rng
        self.unreachable: set[int] = set()

    async def _disturb(self, who: int) -> None:
        if self.rng is not None:
            await asyncio.sleep(self.rng.choice((0.0, 0.0, 0.01, 0.03)))
        if who in self.unreachable:
            raise ApiError("no answer")

    def view(self, who: int) -> View:
        return View(self, who)


class View:
    def __init__(self, store: Store, who: int) -> None:
        self._store, self._who = store, who

    async def get(self, _resource: Resource, _name: str) -> Body | None:
        await self._store._disturb(self._who)
        return self._store.body

    async def create(self, _resource: Resource, body: Body) -> Body:
        await self._store._disturb(self._who)
        if self._store.body is not None:
            raise ChangedError("it is there")
        return self._put(body)

    async def replace(self, _resource: Resource, body: Body) -> Body:
        await self._store._disturb(self._who)
        found: Any = self._store.body
        given: Any = body
        if found is None or given["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]:
            raise ChangedError("it was changed")
        made = self._put(body)
        await self._store._disturb(self._who)  # the write succeeded, and its answer may be lost
        return made

    def _put(self, body: Body) -> Body:
        self._store.version += 1
        given: Any = body
        self._store.body = {**given, "metadata": {"name": "l", "resourceVersion": str(self._store.version)}}
        return self._store.body


TIMES = {"duration": 0.25, "retry_period": 0.05, "renew_deadline": 0.15}


@pytest.mark.parametrize("seed", range(6))
async def test_at_most_one_controller_holds_the_lease(seed: int) -> None:
    rng = random.Random(seed)
    store = Store(rng)
    leases = [Lease(store.view(n), "l", f"c{n}", **TIMES) for n in range(3)]
    held: set[int] = set()

    async def candidate(lease: Lease) -> None:
        while True:
            await lease.acquire()
            await lease.renew_until_lost()

    tasks = [asyncio.create_task(candidate(lease)) for lease in leases]
    end = asyncio.get_running_loop().time() + 1.5
    while asyncio.get_running_loop().time() < end:
        holders = {n for n, lease in enumerate(leases) if lease.holds()}
        assert len(holders) <= 1
        held |= holders
        if rng.random() < 0.02:
            store.unreachable = {n for n in range(3) if rng.random() < 0.5}
        await asyncio.sleep(0.005)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert held


async def test_a_released_lease_can_be_taken_at_once() -> None:
    store = Store()
    first = Lease(store.view(0), "l", "a", duration=60, retry_period=10, renew_deadline=30)
    second = Lease(store.view(1), "l", "b", duration=60, retry_period=10, renew_deadline=30)
    await first.acquire()
    assert first.holds()
    assert not await second._try()
    await first.release()
    assert not first.holds()
    assert await second._try()
    assert second.holds()


async def test_a_restarted_controller_takes_its_own_lease_again() -> None:
    store = Store()
    await Lease(store.view(0), "l", "a", duration=60, retry_period=10, renew_deadline=30).acquire()
    again = Lease(store.view(0), "l", "a", duration=60, retry_period=10, renew_deadline=30)
    assert await again._try()
    assert store.body is not None
    assert store.body["spec"]["leaseTransitions"] == 1


async def test_a_holder_stops_before_another_controller_may_take_the_lease() -> None:
    store = Store()
    lease, other = (Lease(store.view(n), "l", f"c{n}", **TIMES) for n in range(2))
    await lease.acquire()
    keeping = asyncio.create_task(lease.renew_until_lost())
    store.unreachable = {0}
    await asyncio.wait_for(keeping, 5)
    assert not lease.holds()
    await asyncio.wait_for(other.acquire(), 5)
    assert other.holds()


def test_contradictory_times_are_refused() -> None:
    with pytest.raises(ValueError, match="retry_period < renew_deadline < duration"):
        Lease(Store().view(0), "l", "a", duration=5, retry_period=1, renew_deadline=6)


class Time:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def timed(store: Store, who: int, clock: Time) -> Lease:
    return Lease(store.view(who), "l", f"c{who}", duration=10.0, retry_period=3.0, renew_deadline=7.0, clock=clock)


async def test_a_lease_is_held_from_the_beginning_of_its_renewal() -> None:
    """The others count from when they see the write, which may be long before its answer arrives."""
    store, clock = Store(), Time()
    lease = timed(store, 0, clock)

    async def slow(_who: int) -> None:
        clock.now += 5.0

    store._disturb = slow  # type: ignore[method-assign]
    assert await lease._try()
    assert clock.now > 1007.0
    assert not lease.holds(), "the renewal took longer than a renewal counts"


async def test_another_controller_waits_for_the_whole_duration_by_its_own_clock() -> None:
    store, mine, other = Store(), Time(), Time()
    other.now = 50.0
    assert await timed(store, 0, mine)._try()
    waiting = timed(store, 1, other)
    for now, taken in ((50.0, False), (55.0, False), (59.9, False), (60.0, True)):
        other.now = now
        assert await waiting._try() is taken
    assert waiting.holds()


async def test_a_renewal_starts_the_wait_of_the_others_again() -> None:
    store, clock = Store(), Time()
    holder, waiting = timed(store, 0, clock), timed(store, 1, clock)
    assert await holder._try()
    for _renewal in range(5):
        assert not await waiting._try()
        clock.now += 6.0
        assert await holder._try()
    assert not await waiting._try()


async def test_a_lease_that_another_controller_took_is_given_up_as_soon_as_it_is_read() -> None:
    store, clock = Store(), Time()
    lease = timed(store, 0, clock)
    assert await lease._try()
    assert store.body is not None
    store.view(1)._put({**store.body, "spec": {**store.body["spec"], "holderIdentity": "another"}})
    assert await lease._try(), "the write is refused, and the lease is not read yet"
    assert not await lease._try()
    assert not lease.holds()


async def test_a_renewal_with_an_unknown_outcome_is_read_before_the_next() -> None:
    store, clock = Store(), Time()
    lease = timed(store, 0, clock)
    assert await lease._try()
    replace, disturbed = lease._api.replace, False

    async def lost(resource: Resource, body: Body) -> Body:
        nonlocal disturbed
        made = await replace(resource, body)
        if not disturbed:
            disturbed = True
            raise ApiError("the answer was lost")
        return made

    lease._api.replace = lost  # type: ignore[method-assign]
    clock.now += 1.0
    assert await lease._try(), "it is held by the renewal before"
    clock.now += 1.0
    assert await lease._try()
    clock.now += 6.9
    assert lease.holds()


async def test_a_controller_that_does_not_hold_the_lease_does_not_release_it() -> None:
    store, clock = Store(), Time()
    holder, waiting = timed(store, 0, clock), timed(store, 1, clock)
    assert await holder._try()
    assert not await waiting._try()
    await waiting.release()
    clock.now += 8.0
    await holder.release()
    assert store.body is not None
    assert store.body["spec"]["holderIdentity"] == "c0", "it expires by itself"


async def test_only_a_change_of_the_holder_is_a_transition() -> None:
    store, clock = Store(), Time()
    first, second = timed(store, 0, clock), timed(store, 1, clock)
    for _renewal in range(3):
        assert await first._try()
    assert store.body is not None
    assert store.body["spec"]["leaseTransitions"] == 1
    await first.release()
    assert await second._try()
    assert store.body["spec"]["leaseTransitions"] == 2
