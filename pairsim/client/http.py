"""HTTP requests to processes, with one exception for every way in which a request can fail."""

from __future__ import annotations

import abc
import io
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
import msgspec

from pairsim.protocol.frames import AREA_HEADER, REPLICA_HEADER, Failure
from pairsim.wording import duration

_CONNECTIONS_PER_HOST = 100
_CONNECT_SECONDS = 0.5

WS_TIMEOUT = aiohttp.ClientWSTimeout(ws_close=0.5)
"""For every WebSocket: a hung process does not answer the closing of a WebSocket either."""


class ClosingClient(abc.ABC):
    """A client that is an async context manager, and closes its connections at the end."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @abc.abstractmethod
    async def close(self) -> None:
        """Closes all connections."""


class UnreachableError(Exception):
    """No connection could be opened: nothing was sent."""


class ResponseLostError(Exception):
    """The connection broke, or no answer came in time: the request may have taken effect."""


class StatusError(Exception):
    """An answer with a status of 400 or above.

    Attributes:
        status: HTTP's status code.
        unknown: Whether the request may have taken effect all the same.
    """

    def __init__(self, status: int, sentence: str, *, unknown: bool) -> None:
        super().__init__(sentence)
        self.status = status
        self.unknown = unknown


class HttpClient:
    """Keeps connections to a few processes, and sends requests over them."""

    def __init__(self, area: str | None = None, replica: str | None = None) -> None:
        """Opens nothing yet.

        Args:
            area: The area that every request is meant for; None for any.
            replica: The process that every request is meant for; None for any.
        """
        named = {AREA_HEADER: area, REPLICA_HEADER: replica}
        self._headers = {header: name for header, name in named.items() if name is not None}
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections; opened at first use, because they belong to the running event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS_PER_HOST),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
                headers=self._headers,
            )
        return self._session

    async def close(self) -> None:
        """Closes all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(
        self,
        method: str,
        url: str,
        *,
        seconds: float,
        body: bytes | None = None,
        token: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> bytes:
        """Sends a request and returns the body of a successful answer.

        Args:
            method: The HTTP method.
            url: The whole URL without the query.
            seconds: How long the answer may take, its body included.
            body: A JSON document; None for a request without a body.
            token: The bearer token; None for a request without one.
            query: The query parameters.

        Raises:
            UnreachableError, ResponseLostError, StatusError: As their classes say.
        """
        async with self.stream(method, url, seconds=seconds, body=body, token=token, query=query) as answer:
            return await answer.read()

    @asynccontextmanager
    async def stream(
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
        """Sends a request and yields a successful answer whose body has not been read yet.

        Args:
            method: As for `request`, and so the others.
            url: The whole URL.
            seconds: How long the answer may take, its body included.
            body: A JSON document.
            token: The bearer token.
            query: The query parameters.
            silence: Seconds that may pass between two pieces of the body; None for no limit.

        Raises:
            UnreachableError, ResponseLostError, StatusError: As for `request`; also while the body is read.
        """
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        try:
            async with self.session.request(
                method, url, data=io.BytesIO(body) if body else body, headers=headers, params=query, timeout=timeout
            ) as answer:
                if answer.status >= 400:
                    raise _status_error(answer.status, await answer.read())
                yield answer
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise UnreachableError(f"no connection to {url}: {_connect_failure(error)}") from error
        except TimeoutError as error:
            raise ResponseLostError(f"{url} did not answer within {duration(seconds)}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ResponseLostError(f"the connection to {url} broke: {error}") from error


def _connect_failure(error: Exception) -> str:
    """Returns why no connection was opened, in the system's words, such as "Connection refused"."""
    if not isinstance(error, aiohttp.ClientConnectorError) or isinstance(error, aiohttp.ClientSSLError):
        return str(error)
    reason = error.os_error
    if reason.errno is not None and reason.errno > 0:  # below zero are the codes of name resolution
        return os.strerror(reason.errno)
    return reason.strerror or str(reason)


def _status_error(status: int, body: bytes) -> StatusError:
    try:
        failure = msgspec.json.decode(body, type=Failure)
    except msgspec.MsgspecError:
        failure = Failure(f"the server answered {status}", unknown=status >= 500)
    return StatusError(status, failure.error, unknown=failure.unknown)
