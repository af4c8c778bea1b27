from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim_controller.kube.api.port import ApiError
from pairsim_controller.kube.api.workqueue import WorkQueue


async def idle(queue: WorkQueue) -> None:
    """Waits until the queue has no keys, workers or timers."""
    async with asyncio.timeout(5):
        while len(queue) or queue._processing or queue._timers:
            await asyncio.sleep(0)


async def drained(queue: WorkQueue) -> None:
    task = asyncio.create_task(queue.run())
    try:
        await idle(queue)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=40),
    workers=st.integers(1, 4),
    fails=st.sets(st.integers(0, 40)),
)
@settings(max_examples=60, deadline=None)
def test_one_worker_at_a_time_has_a_key_and_no_key_is_lost(
    steps: list[tuple[str, int]], workers: int, fails: set[int]
) -> None:
    async def run() -> None:
        at_work: Counter[str] = Counter()
        added: dict[str, int] = {}
        seen: dict[str, int] = {}
        calls = 0

        async def work(key: str) -> None:
            nonlocal calls
            calls += 1
            mine = calls
            at_work[key] += 1
            assert at_work[key] == 1
            before = added[key]
            for _ in range(mine % 4):
                await asyncio.sleep(0)
            at_work[key] -= 1
            if mine in fails:
                raise ApiError("not now")
            seen[key] = before

        queue = WorkQueue(work, workers=workers, retry_seconds=(0.0, 0.0))
        task = asyncio.create_task(queue.run())
        for number, (key, pause) in enumerate(steps):
            added[key] = number
            if pause == 3:
                queue.add_after(key, 0.0)
            else:
                queue.add(key)
            for _ in range(pause):
                await asyncio.sleep(0)
        await idle(queue)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert seen == added

    asyncio.run(run())


async def test_a_key_that_is_added_during_its_work_is_worked_on_again() -> None:
    calls: list[str] = []

    async def work(key: str) -> None:
        calls.append(key)
        if len(calls) == 1:
            queue.add(key)
            queue.add(key)

    queue = WorkQueue(work, workers=2)
    queue.add("a")
    await drained(queue)
    assert calls == ["a", "a"]


async def test_failures_come_back_timers_and_timers() -> None:
    waits: list[float] = []
    queue: WorkQueue

    async def work(_key: str) -> None:
        if len(waits) < 4:
            raise ApiError("no")

    def failed(key: str, _error: ApiError) -> None:
        asyncio.get_running_loop().call_soon(
            lambda: waits.append(queue._timers[key].when() - asyncio.get_running_loop().time())
        )

    queue = WorkQueue(work, workers=1, retry_seconds=(0.02, 0.06), on_failure=failed)
    queue.add("a")
    await drained(queue)
    assert len(waits) == 4
    assert waits[0] <= 0.02
    assert max(waits) <= 0.06


async def test_any_other_error_than_an_api_error_ends_the_queue() -> None:
    async def work(_key: str) -> None:
        raise RuntimeError("a bug")

    queue = WorkQueue(work, workers=1)
    queue.add("a")
    with pytest.raises(ExceptionGroup):
        await asyncio.wait_for(queue.run(), 5)


async def test_of_several_delays_the_earliest_counts() -> None:
    done = asyncio.Event()

    async def work(_key: str) -> None:
        done.set()

    queue = WorkQueue(work, workers=1)
    queue.add_after("a", 3600)
    queue.add_after("a", 0.01)
    queue.add_after("a", 3600)
    task = asyncio.create_task(queue.run())
    await asyncio.wait_for(done.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
