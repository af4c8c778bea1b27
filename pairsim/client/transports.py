"""The two ways in which a client's batch reaches one replica: a request, or a kept session."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from pairsim.client.delivery import BusyError, MisdirectedError, NotSentError, UnknownOutcomeError
from pairsim.client.errors import CommandsRefused
from pairsim.client.http import HttpClient, ResponseLostError, StatusError, UnreachableError
from pairsim.client.session_connection import (
    FrameTooLargeError,
    SessionConnection,
    SessionLostError,
    SessionNotOpenError,
)
from pairsim.model.commands import Command, Result
from pairsim.protocol.frames import CommandAnswer, CommandBatch, SessionAnswer

_MISDIRECTED = 421


class HttpTransport:
    """Sends batches by `POST /v1/commands`."""

    def __init__(self, http: HttpClient, *, seconds: float) -> None:
        """Sends over the given connections; an answer may take `seconds`."""
        self._http, self._seconds = http, seconds

    async def attempt(self, url: str, commands: Sequence[Command]) -> list[Result]:
        """Sends a batch to the replica at a URL; returns and raises as `pairsim.client.delivery.Attempt` says."""
        body = msgspec.json.encode(CommandBatch(list(commands)))
        try:
            answer = await self._http.request("POST", f"{url}/v1/commands", seconds=self._seconds, body=body)
            return msgspec.json.decode(answer, type=CommandAnswer).results
        except UnreachableError as error:
            raise NotSentError(str(error)) from error
        except ResponseLostError as error:
            raise UnknownOutcomeError(str(error)) from error
        except StatusError as error:
            raise _attempt_error(error.status, str(error), unknown=error.unknown) from error
        except msgspec.MsgspecError as error:
            raise UnknownOutcomeError(f"{url} sent an invalid answer: {error}") from error


class SessionTransport:
    """Sends batches over one session per replica, opened when first needed and again after it broke."""

    def __init__(self, http: HttpClient) -> None:
        """Opens sessions with the given HTTP client."""
        self._http = http
        self._connections: dict[str, asyncio.Task[SessionConnection]] = {}

    async def attempt(self, url: str, commands: Sequence[Command]) -> list[Result]:
        """Sends a batch to the replica at a URL; returns and raises as `pairsim.client.delivery.Attempt` says."""
        connection = await self._connect(url)
        try:
            answer = await connection.request(commands)
        except FrameTooLargeError as error:
            raise CommandsRefused(str(error)) from error
        except SessionLostError as error:
            raise UnknownOutcomeError(f"{url}: {error}") from error
        return _results(answer)

    def forget_lost(self) -> None:
        """Forgets the sessions that could not be opened, and those that broke."""
        lost = [
            url
            for url, task in self._connections.items()
            if task.done() and (task.cancelled() or task.exception() is not None or task.result().lost)
        ]
        for url in lost:
            del self._connections[url]

    async def close(self) -> None:
        """Closes all sessions."""
        opening, self._connections = list(self._connections.values()), {}
        for task in opening:
            if not task.done():
                task.cancel()
        for outcome in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(outcome, SessionConnection):
                await outcome.close()

    async def _connect(self, url: str) -> SessionConnection:
        opening = self._connections.get(url)
        if opening is None or (opening.done() and (opening.exception() is not None or opening.result().lost)):
            opening = asyncio.ensure_future(SessionConnection.open(self._http.session, url))
            self._connections[url] = opening
        try:
            return await asyncio.shield(opening)
        except SessionNotOpenError as error:
            raise NotSentError(str(error)) from error


def _results(answer: SessionAnswer) -> list[Result]:
    if answer.error:
        raise _attempt_error(answer.code, answer.error, unknown=answer.unknown)
    return answer.results


def _attempt_error(status: int, sentence: str, *, unknown: bool) -> Exception:
    if status in (400, 413):
        return CommandsRefused(sentence)
    if unknown or status == 500:
        return UnknownOutcomeError(sentence)
    if status == 429:
        return BusyError(sentence)
    if status == _MISDIRECTED:
        return MisdirectedError(sentence)
    return NotSentError(sentence)
