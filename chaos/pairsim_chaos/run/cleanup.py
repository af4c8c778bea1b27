"""Work that is done to its end, however often its waiter is cancelled: a fault that was made is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from pairsim_chaos.target import WorldError

T = TypeVar("T")


async def to_its_end(work: Coroutine[object, object, T]) -> T:
    """Waits for the end of the work; only then is a cancellation passed on. An error of the work comes first.

    The work itself has to have a deadline.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result


async def undone(work: Coroutine[object, object, None], because: BaseException) -> None:
    """Takes back what failed; that this failed as well is told after the first reason, not in its place."""
    try:
        await to_its_end(work)
    except WorldError as error:
        if not isinstance(because, WorldError):
            raise
        raise WorldError(f"{because}; then {error}") from because
