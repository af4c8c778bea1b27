"""One HTTP request to one process, with every outcome told apart."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from pairsim.protocol.frames import AREA_HEADER, REPLICA_HEADER, Failure

_CONNECTIONS_PER_HOST = 100
_CONNECT_SECONDS = 0.5

WS_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=0.5)
"""A hung process does not answer the closing of a WebSocket either."""


class UnreachableError(Exception):
    """There was no connection: nothing was sent."""


class LostError(Exception):
    """The connection broke, or no answer came in time: whatever was asked may have happened."""


class StatusError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, sentence: str, *, unknown: bool) -> None:
        super().__init__(sentence)
        self.status = status
        self.unknown = unknown


class Caller:
    """Keeps connections to a few processes."""

    def __init__(self, area: str | None = None, replica: str | None = None) -> None:
        """Every request names the area and the process that it is meant for, if it is for one."""
        named = {AREA_HEADER: area, REPLICA_HEADER: replica}
        self._headers = {header: name for header, name in named.items() if name is not None}
        self._http: aiohttp.ClientSession | None = None

    @property
    def http(self) -> aiohttp.ClientSession:
        """Opened at first use, because it belongs to the running event loop."""
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS_PER_HOST),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                headers=self._headers,
            )
        return self._http

    async def close(self) -> None:
        """Closes all connections."""
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def call(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        body: bytes | None = None,
        token: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """Asks and returns the body of a success.

        Raises:
            UnreachableError, LostError, StatusError: See there.
        """
        async with self.answered(method, url, seconds=seconds, body=body, token=token, query=query) as answer:
            return await answer.read()

    @asynccontextmanager
    async def answered(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        body: bytes | None = None,
        token: str | None = None,
        query: Mapping[str, str] | None = None,
        silence: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Asks; the answer is a success whose body has not been read yet, in pieces at most `silence` seconds apart.

        Raises:
            UnreachableError, LostError, StatusError: See there; also while the body is read.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        try:
            async with self.http.request(
                method, url, data=io.BytesIO(body) if body else body, headers=headers, params=query, timeout=timeout
            ) as answer:
                if answer.status >= 400:
                    raise _failure(answer.status, await answer.read())
                yield answer
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise UnreachableError(f"no connection to {url}: {error}") from error
        except TimeoutError as error:
            raise LostError(f"{url} did not answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise LostError(f"the connection to {url} broke: {error}") from error


def _failure(status: int, body: bytes) -> StatusError:
    try:
        told = msgspec.json.decode(body, type=Failure)
    except msgspec.MsgspecError:
        told = Failure(f"the server answered {status}", unknown=status >= 500)
    return StatusError(status, told.error, unknown=told.unknown)
