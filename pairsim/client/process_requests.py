"""Requests to processes: which process is asked, how often, and what its answer means to the client.

Reads go to one replica after the other until one answers. Control requests go to one process, once: a request whose
answer was lost may have taken effect, so it is not sent to another process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import aiohttp
import msgspec

from pairsim.client.errors import ClientError, RequestRefused, Unavailable
from pairsim.client.http import WS_TIMEOUT, HttpClient, ResponseLostError, StatusError, UnreachableError
from pairsim.protocol.frames import ENTITIES_HEADER, TICK_HEADER
from pairsim.wording import duration

T = TypeVar("T")

Save = Callable[[bytes], Awaitable[None]]
"""Takes the next piece of a backup."""

_ATTEMPT_SECONDS = 1.0
_RETRY_SECONDS = 0.05
_WATCH_SILENCE_SECONDS = 3.0
_BACKUP_SILENCE_SECONDS = 30.0
_MISDIRECTED = 421


class BackupSummary(msgspec.Struct, frozen=True):
    """A backup that was saved completely.

    Attributes:
        tick: The committed tick of its state.
        entities: How many entities it has.
    """

    tick: int
    entities: int


async def read(
    http: HttpClient,
    urls: Sequence[str],
    path: str,
    kind: type[T],
    *,
    query: Mapping[str, str] | None,
    seconds: float,
    decode: Callable[[bytes], T] | None = None,
) -> T:
    """Asks one replica after the other, and all again while one of them answers that it cannot answer yet.

    `decode` decodes the body of an answer in a way of its own; otherwise the body is JSON of the kind.

    Raises:
        RequestRefused: The request is not valid, or there is nothing at the path.
        Unavailable: No replica answered within `seconds`.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    last: Exception | None = None
    again = True
    while again and (left := end - loop.time()) > 0:
        again = False
        for url in urls:
            each = min(left, _ATTEMPT_SECONDS) if len(urls) > 1 else left
            try:
                body = await http.request("GET", url + path, seconds=each, query=query)
                return decode(body) if decode is not None else msgspec.json.decode(body, type=kind)
            except StatusError as error:
                if error.status not in {_MISDIRECTED, 503}:
                    raise RequestRefused(error.status, str(error)) from error
                if last is None or error.status != _MISDIRECTED:
                    last = error
                again = True
            except ResponseLostError as error:
                if not isinstance(last, StatusError):  # the reason of a replica says more than the end of the time
                    last = error
                again = True
            except UnreachableError as error:
                last = error
            except msgspec.MsgspecError as error:
                raise RequestRefused(502, f"{url} is not a pairsim process of this kind: {error}") from error
        if again:
            await asyncio.sleep(min(_RETRY_SECONDS, max(end - loop.time(), 0)))
    raise Unavailable(f"no replica answered GET {path}: {last}") from last


async def control(
    http: HttpClient,
    method: str,
    url: str,
    *,
    seconds: float,
    token: str | None,
    body: bytes | None = None,
    query: Mapping[str, str] | None = None,
) -> bytes:
    """Sends one process one request, once, and returns the body of the answer.

    Raises:
        RequestRefused: The process refuses.
        Unavailable: The process did not answer, or cannot do it now; the request may have taken effect.
    """
    with _client_errors():
        return await http.request(method, url, seconds=seconds, body=body, token=token, query=query)


async def control_active(
    http: HttpClient,
    method: str,
    urls: Sequence[str],
    path: str,
    *,
    seconds: float,
    token: str | None,
    body: bytes | None,
) -> bytes:
    """Sends a request to one replica after the other until one of them is the active.

    Raises:
        RequestRefused: The active refuses, or no replica that answered is the active.
        Unavailable: No replica answered, or the active cannot do it now; the request may have taken effect.
    """
    failure: ClientError | None = None
    for url in urls:
        try:
            return await control(http, method, url + path, seconds=seconds, token=token, body=body)
        except RequestRefused as error:
            if error.status != _MISDIRECTED:
                raise
            failure = error
        except Unavailable as error:
            if not isinstance(error.__cause__, UnreachableError):
                raise  # the request may have taken effect: the other replica must not do it again
            failure = failure or error
    raise failure or Unavailable("no replica was asked")


async def backup(
    http: HttpClient, url: str, area: str, save: Save, *, seconds: float, token: str | None
) -> BackupSummary:
    """Has one process's backup of its area saved, piece by piece.

    Raises:
        RequestRefused, Unavailable: As for `control`; the pieces that were saved until then are of no use.
    """
    with _client_errors():
        async with http.stream(
            "GET",
            f"{url}/v1/backup",
            seconds=seconds,
            token=token,
            query={"area": area},
            silence=_BACKUP_SILENCE_SECONDS,
        ) as answer:
            async for piece in answer.content.iter_any():
                await save(piece)
            return BackupSummary(int(answer.headers[TICK_HEADER]), int(answer.headers[ENTITIES_HEADER]))


async def backup_any(
    http: HttpClient, urls: Sequence[str], area: str, save: Save, *, seconds: float, token: str | None
) -> BackupSummary:
    """Has the backup of the first replica saved that can give one; once a piece was saved, no other one is asked.

    Raises:
        RequestRefused: The token is wrong, or every process answered that it does not have the area.
        Unavailable: A replica did not answer or cannot give a backup now, or the backup broke off.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    failure: ClientError | None = None
    begun = False

    async def save_piece(piece: bytes) -> None:
        nonlocal begun
        begun = True
        await save(piece)

    for url in urls:
        left = max(end - loop.time(), 0.001)  # 0 would mean no limit
        try:
            return await backup(http, url, area, save_piece, seconds=left, token=token)
        except RequestRefused as error:
            if error.status != _MISDIRECTED:
                raise
            failure = failure or error
        except Unavailable as error:
            if begun:
                raise
            failure = error
    raise failure or Unavailable("no replica was asked")


async def watch(
    http: HttpClient, url: str, kind: type[T], *, seconds: float, token: str | None
) -> AsyncGenerator[T, None]:
    """Yields the statuses of one process until the connection breaks.

    Raises:
        Unavailable: The connection broke, or could not be opened within `seconds`, or nothing came for three seconds.
    """
    try:
        async with asyncio.timeout(seconds):
            headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
            socket = await http.session.ws_connect(f"{url}/v1/watch", headers=headers, timeout=WS_TIMEOUT)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unavailable(f"{url} cannot be watched: {str(error) or 'no answer'}") from error
    async with socket:
        while True:
            try:
                async with asyncio.timeout(_WATCH_SILENCE_SECONDS):
                    message = await socket.receive()
            except TimeoutError as error:
                raise Unavailable(f"{url} has sent nothing for {duration(_WATCH_SILENCE_SECONDS)}") from error
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise Unavailable(f"the connection to {url} is closed")
            yield msgspec.json.decode(message.data, type=kind)


@contextlib.contextmanager
def _client_errors() -> Iterator[None]:
    """Turns every failure of one request into an error of the client."""
    try:
        yield
    except StatusError as error:
        if error.status == 503:
            raise Unavailable(str(error)) from error
        raise RequestRefused(error.status, str(error)) from error
    except (UnreachableError, ResponseLostError) as error:
        raise Unavailable(str(error)) from error
