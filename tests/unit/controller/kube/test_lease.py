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
