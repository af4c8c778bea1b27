"""What is done to its end is, whatever its waiter is told meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from pairsim_chaos.run.cleanup import to_its_end, undone
from pairsim_chaos.target import WorldError


class Work:
    """Ends when it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.began, self.go, self.ended = error, asyncio.Event(), asyncio.Event(), False

    async def do(self) -> str:
        self.began.set()
        await self.go.wait()
        self.ended = True
        if self.error is not None:
            raise self.error
        return "done"


async def cancelled_twice(work: Work) -> asyncio.Task[str]:
    task = asyncio.create_task(to_its_end(work.do()))
    await work.began.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
    work.go.set()
    await asyncio.wait({task})
    return task


async def test_its_result_is_given() -> None:
    work = Work()
    work.go.set()
    assert await to_its_end(work.do()) == "done"


async def test_a_cancellation_waits_for_the_end_however_often_it_comes() -> None:
    work = Work()
    task = await cancelled_twice(work)
    assert work.ended
    assert task.cancelled()


async def test_an_error_is_told_before_a_cancellation() -> None:
    task = await cancelled_twice(Work(OSError("stuck")))
    assert isinstance(task.exception(), OSError)


async def test_a_timeout_around_it_is_one_when_it_has_ended() -> None:
    work = Work()
    asyncio.get_running_loop().call_later(0.02, work.go.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await to_its_end(work.do())
    assert work.ended


async def stays() -> None:
    raise WorldError("it stays")


@pytest.mark.parametrize(
    ("because", "told"), [(WorldError("no netem"), "no netem; then it stays"), (asyncio.CancelledError(), "it stays")]
)
async def test_why_something_is_taken_back_is_told_first(because: BaseException, told: str) -> None:
    with pytest.raises(WorldError, match=f"^{told}$"):
        await undone(stays(), because)
