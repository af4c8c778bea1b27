"""Reading requests: bounded, typed, and refused with a sentence."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
from collections.abc import Callable
from typing import TypeVar

import aiohttp
import msgspec
from aiohttp import web

from pairsim.server.http.errors import HttpError

T = TypeVar("T")

BODY_SECONDS = 10.0
_MAX_DIGITS = 19


async def read_body(request: web.Request) -> bytes:
    """The whole body; its size is bounded by the application.

    Raises:
        HttpError: 408 when it comes too slowly, 415 when it is compressed, 400 when it is broken.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise HttpError(415, "send the body without a content encoding")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise HttpError(408, f"the body did not arrive within {BODY_SECONDS:g} s") from None
    except (aiohttp.ClientPayloadError, web.RequestPayloadError, ConnectionError) as error:
        raise HttpError(400, "the body is incomplete") from error


def decode_json(body: bytes, kind: type[T]) -> T:
    """Decodes a document.

    Raises:
        HttpError: 400 with what is wrong, and where.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, f"the body is not a valid document: {error}") from error


def takes(request: web.Request, *names: str) -> None:
    """Refuses query parameters other than these: a slip would be answered as if nothing had been said.

    Raises:
        HttpError: 400.
    """
    for name in request.query:
        if name not in names:
            raise HttpError(400, f"{request.path} has no parameter {_shown(name)}: it takes {', '.join(names)}")


def integer(request: web.Request, name: str, default: int | None) -> int:
    """A query parameter that is a whole number of at most 63 bits.

    Raises:
        HttpError: 400.
    """
    text = request.query.get(name)
    if text is None:
        if default is None:
            raise HttpError(400, f"the query needs {name}=")
        return default
    return whole(text, name)


def whole(text: str, name: str) -> int:
    """Parses a whole number of at most 63 bits.

    Raises:
        HttpError: 400.
    """
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS and abs(int(text)) < 2**63:
        return int(text)
    raise HttpError(400, f"{name} must be a whole number of at most 63 bits, not {_shown(text)}")


def number(text: str, name: str) -> float:
    """Parses a finite number.

    Raises:
        HttpError: 400.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise HttpError(400, f"{name} must be a number, not {_shown(text)}")
    return value


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:40] + "...")


class Blocking:
    """A few threads for what blocks, with a bound on what waits for them."""

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._left = waiting

    async def run(self, work: Callable[[], T], timeout: float) -> T:  # noqa: ASYNC109 - says so with a sentence
        """Runs the work in a thread.

        Raises:
            HttpError: 503 when too much waits already.
            TimeoutError: It goes on, but the answer took longer than `timeout` seconds.
        """
        if self._left <= 0:
            raise HttpError(503, "too many requests wait already: try again in a moment")
        self._left -= 1
        task = asyncio.get_running_loop().run_in_executor(self._pool, work)
        task.add_done_callback(self._finished)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(task)
        except TimeoutError as error:
            if task.done():
                raise
            raise TimeoutError(f"no answer within {timeout:g} s: try again in a moment") from error

    def _finished(self, task: asyncio.Future[T]) -> None:
        self._left += 1
        if not task.cancelled():
            task.exception()  # whoever waited has seen it, or has given up

    def close(self) -> None:
        """Takes no more work; what runs is left to finish."""
        self._pool.shutdown(wait=False, cancel_futures=True)
