"""Work that must complete does so although its caller is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from pairsim_chaos.run.cleanup import roll_back, run_to_completion
from pairsim_chaos.target import WorldError


class Work:
    """Work that ends when the test sets `go`."""

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
    task = asyncio.create_task(run_to_completion(work.do()))
    await work.began.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not task.done()
    work.go.set()
    await asyncio.wait({task})
    return task


async def test_the_result_is_returned() -> None:
    work = Work()
    work.go.set()
    assert await run_to_completion(work.do()) == "done"


async def test_repeated_cancellations_wait_for_the_end() -> None:
    work = Work()
    task = await cancelled_twice(work)
    assert work.ended
    assert task.cancelled()


async def test_an_error_takes_precedence_over_a_cancellation() -> None:
    task = await cancelled_twice(Work(OSError("stuck")))
    assert isinstance(task.exception(), OSError)


async def test_a_timeout_is_raised_after_the_end() -> None:
    work = Work()
    asyncio.get_running_loop().call_later(0.02, work.go.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await run_to_completion(work.do())
    assert work.ended


async def failing() -> None:
    raise WorldError("it stays")


@pytest.mark.parametrize(
    ("cause", "message"), [(WorldError("no netem"), "no netem; then it stays"), (asyncio.CancelledError(), "it stays")]
)
async def test_the_cause_of_a_failed_roll_back_comes_first(cause: BaseException, message: str) -> None:
    with pytest.raises(WorldError, match=f"^{message}$"):
        await roll_back(failing(), cause)
