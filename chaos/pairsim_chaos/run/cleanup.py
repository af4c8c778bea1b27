"""Coroutines that run to completion however often their caller is cancelled, so that injected faults are removed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from pairsim_chaos.target import WorldError

T = TypeVar("T")


async def run_to_completion(work: Coroutine[object, object, T]) -> T:
    """Returns the result of the work; a cancellation is raised only after the work has ended.

    An error of the work takes precedence over a cancellation. The work must have its own deadline.
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


async def roll_back(work: Coroutine[object, object, None], cause: BaseException) -> None:
    """Runs the work that removes a failed fault; if this fails too, the error names the cause first.

    Raises:
        WorldError: The work failed; the message starts with the message of the cause if the cause is a WorldError.
    """
    try:
        await run_to_completion(work)
    except WorldError as error:
        if not isinstance(cause, WorldError):
            raise
        raise WorldError(f"{cause}; then {error}") from cause
