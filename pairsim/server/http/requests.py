"""Reading requests: every body, parameter and piece of blocking work is bounded, typed, and refused with a sentence."""

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
from pairsim.wording import duration

T = TypeVar("T")

BODY_SECONDS = 10.0
"""How long a body may take to arrive."""

_MAX_DIGITS = 19
_MAX_QUOTED = 40


async def read_body(request: web.Request) -> bytes:
    """Returns the whole body; its size is bounded by the application's `client_max_size`.

    Raises:
        HttpError: 408 when the body comes too slowly, 415 when it is compressed, 400 when it is incomplete.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise HttpError(415, "send the body without a content encoding")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise HttpError(408, f"the body did not arrive within {duration(BODY_SECONDS)}") from None
    except (aiohttp.ClientPayloadError, web.RequestPayloadError, ConnectionError) as error:
        raise HttpError(400, "the body is incomplete") from error


def decode_json(body: bytes, kind: type[T]) -> T:
    """Decodes a JSON document and returns it as an instance of `kind`.

    Raises:
        HttpError: 400 with the fault and its place in the document.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, f"the body is not a valid document: {error}") from error


async def read_json(request: web.Request, kind: type[T]) -> T:
    """Reads and decodes a body that a web page of another origin cannot send unasked.

    A page needs the server's consent (CORS preflight) to send the content type `application/json` to another origin.
    So a path that is open without a token reads its bodies with this function.

    Raises:
        HttpError: 415 for another content type, and the errors of `read_body` and `decode_json`.
    """
    if request.content_type != "application/json":
        raise HttpError(415, "send the body as JSON, with the header 'Content-Type: application/json'")
    return decode_json(await read_body(request), kind)


def reject_unknown_query(request: web.Request, *names: str) -> None:
    """Refuses query parameters other than these: a misspelt parameter would be ignored without a word.

    Raises:
        HttpError: 400.
    """
    for name in request.query:
        if name not in names:
            raise HttpError(400, f"{request.path} has no parameter {_quoted(name)}: it takes {', '.join(names)}")


def query_int(request: web.Request, name: str, default: int | None) -> int:
    """Returns a query parameter that is a whole number of at most 63 bits.

    Raises:
        HttpError: 400 when the parameter is not a whole number, or is missing and has no default.
    """
    text = request.query.get(name)
    if text is None:
        if default is None:
            raise HttpError(400, f"the query needs {name}=")
        return default
    return parse_int(text, name)


def parse_int(text: str, name: str) -> int:
    """Parses a whole number of at most 63 bits.

    Raises:
        HttpError: 400; the sentence calls the number `name`.
    """
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS and abs(int(text)) < 2**63:
        return int(text)
    raise HttpError(400, f"{name} must be a whole number of at most 63 bits, not {_quoted(text)}")


def parse_float(text: str, name: str) -> float:
    """Parses a finite number.

    Raises:
        HttpError: 400; the sentence calls the number `name`.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise HttpError(400, f"{name} must be a number, not {_quoted(text)}")
    return value


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= _MAX_QUOTED else text[:_MAX_QUOTED] + "...")


class BoundedExecutor:
    """A few threads for blocking work, with a bound on the work that runs or waits for a thread."""

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        """Creates the pool.

        Args:
            name: Prefix of the threads' names.
            threads: How much work runs at the same time.
            waiting: How much work may run or wait altogether.
        """
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._left = waiting

    async def run(self, work: Callable[[], T], timeout: float) -> T:  # noqa: ASYNC109 - says so with a sentence
        """Runs the work in a thread and returns its result.

        Raises:
            HttpError: 503 when too much work waits already.
            TimeoutError: The result took longer than `timeout` seconds; the work goes on in its thread.
        """
        if self._left <= 0:
            raise HttpError(503, "too many requests wait already: try again in a moment")
        self._left -= 1
        task = asyncio.get_running_loop().run_in_executor(self._pool, work)
        task.add_done_callback(self._on_finished)
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(task)
        except TimeoutError as error:
            if task.done():
                raise
            raise TimeoutError(f"no answer within {duration(timeout)}: try again in a moment") from error

    def _on_finished(self, task: asyncio.Future[T]) -> None:
        self._left += 1
        if not task.cancelled():
            task.exception()  # marks it as retrieved: the caller has seen it, or does not wait any more

    def close(self) -> None:
        """Takes no more work; work that runs already is left to finish."""
        self._pool.shutdown(wait=False, cancel_futures=True)
