"""A client's questions and orders: which process is asked, how often, and what its answer means."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import aiohttp
import msgspec

from pairsim.client.errors import RequestRefused, Unavailable
from pairsim.client.http import WS_TIMEOUT, Caller, LostError, StatusError, UnreachableError
from pairsim.protocol.frames import ENTITIES_HEADER, TICK_HEADER

T = TypeVar("T")

Save = Callable[[bytes], Awaitable[None]]

_TRY_SECONDS = 1.0
_PAUSE = 0.05
_WATCH_SILENCE = 3.0
_BACKUP_SILENCE = 30.0


class BackupMade(msgspec.Struct, frozen=True):
    """A backup that is whole: the tick that it is of, and how many entities it has."""

    tick: int
    entities: int


async def read(
    caller: Caller, urls: Sequence[str], path: str, kind: type[T], *, query: Mapping[str, str] | None, seconds: float
) -> T:
    """Asks one replica after the other, again while one of them answers that it cannot yet.

    Raises:
        RequestRefused: The request is not valid, or there is nothing there.
        Unavailable: No replica answers.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    last: Exception | None = None
    again = True
    while again and (left := end - loop.time()) > 0:
        again = False
        for url in urls:
            each = min(left, _TRY_SECONDS) if len(urls) > 1 else left
            try:
                body = await caller.call("GET", url + path, seconds=each, query=query)
                return msgspec.json.decode(body, type=kind)
            except StatusError as error:
                if error.status not in {421, 503}:
                    raise RequestRefused(error.status, str(error)) from error
                last, again = error, True
            except LostError as error:
                last, again = error, True
            except UnreachableError as error:
                last = error
            except msgspec.MsgspecError as error:
                raise RequestRefused(502, f"{url} answers something else than pairsim would: {error}") from error
        if again:
            await asyncio.sleep(min(_PAUSE, max(end - loop.time(), 0)))
    raise Unavailable(f"no replica answered GET {path}: {last}") from last


async def order(
    caller: Caller,
    method: str,
    url: str,
    *,
    seconds: float,
    token: str | None,
    body: bytes | None = None,
    query: Mapping[str, str] | None = None,
) -> bytes:
    """Gives one process one order; returns the answer's body.

    Raises:
        RequestRefused: It refuses.
        Unavailable: It did not answer, or cannot do it now; it may have done it all the same.
    """
    with _told():
        return await caller.call(method, url, seconds=seconds, body=body, token=token, query=query)


async def backup(caller: Caller, url: str, area: str, save: Save, *, seconds: float, token: str | None) -> BackupMade:
    """Has one process's backup of its area saved, piece by piece.

    Raises:
        RequestRefused, Unavailable: As for `order`; what was saved until then is of no use.
    """
    with _told():
        async with caller.answered(
            "GET", f"{url}/v1/backup", seconds=seconds, token=token, query={"area": area}, silence=_BACKUP_SILENCE
        ) as answer:
            async for piece in answer.content.iter_any():
                await save(piece)
            return BackupMade(int(answer.headers[TICK_HEADER]), int(answer.headers[ENTITIES_HEADER]))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Every way in which one request fails, as the client's errors."""
    try:
        yield
    except StatusError as error:
        if error.status == 503:
            raise Unavailable(str(error)) from error
        raise RequestRefused(error.status, str(error)) from error
    except (UnreachableError, LostError) as error:
        raise Unavailable(str(error)) from error


async def watch(caller: Caller, url: str, kind: type[T], *, seconds: float, token: str | None) -> AsyncIterator[T]:
    """Statuses of one process, until the connection breaks.

    Raises:
        Unavailable: It broke, or could not be made within `seconds`, or nothing came for three seconds.
    """
    try:
        async with asyncio.timeout(seconds):
            headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
            socket = await caller.http.ws_connect(f"{url}/v1/watch", headers=headers, timeout=WS_TIMEOUT)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise Unavailable(f"{url} cannot be watched: {str(error) or 'no answer'}") from error
    async with socket:
        while True:
            try:
                async with asyncio.timeout(_WATCH_SILENCE):
                    message = await socket.receive()
            except TimeoutError as error:
                raise Unavailable(f"{url} has said nothing for {_WATCH_SILENCE:g} s") from error
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise Unavailable(f"the connection to {url} is closed")
            yield msgspec.json.decode(message.data, type=kind)
