"""The two ways of a client's batch to one replica: a request, or a kept session."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from pairsim.client.delivery import BusyError, NotSentError, UnknownFateError
from pairsim.client.errors import CommandsRefused
from pairsim.client.http import Caller, LostError, StatusError, UnreachableError
from pairsim.client.session_connection import FrameTooLargeError, Link, LinkError, LinkLostError
from pairsim.model.commands import Command, Result
from pairsim.protocol.frames import CommandAnswer, CommandBatch, SessionAnswer


class Posting:
    """Batches by `POST /v1/commands`."""

    def __init__(self, caller: Caller, *, seconds: float) -> None:
        self._caller, self._seconds = caller, seconds

    async def attempt(self, url: str, commands: Sequence[Command]) -> list[Result]:
        """See `Attempt`."""
        body = msgspec.json.encode(CommandBatch(list(commands)))
        try:
            answer = await self._caller.call("POST", f"{url}/v1/commands", seconds=self._seconds, body=body)
            return msgspec.json.decode(answer, type=CommandAnswer).results
        except UnreachableError as error:
            raise NotSentError(str(error)) from error
        except LostError as error:
            raise UnknownFateError(str(error)) from error
        except StatusError as error:
            raise _failure(error.status, str(error), unknown=error.unknown) from error
        except msgspec.MsgspecError as error:
            raise UnknownFateError(f"{url} answered something that is no result: {error}") from error


class Linking:
    """Batches over one session per replica, opened when first needed and again when it broke."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._links: dict[str, asyncio.Task[Link]] = {}

    async def attempt(self, url: str, commands: Sequence[Command]) -> list[Result]:
        """See `Attempt`."""
        link = await self._link(url)
        try:
            answer = await link.request(commands)
        except FrameTooLargeError as error:
            raise CommandsRefused(str(error)) from error
        except LinkLostError as error:
            raise UnknownFateError(f"{url}: {error}") from error
        return _results(answer)

    async def close(self) -> None:
        """Ends all sessions."""
        opening, self._links = list(self._links.values()), {}
        for task in opening:
            if not task.done():
                task.cancel()
        for outcome in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(outcome, Link):
                await outcome.close()

    async def _link(self, url: str) -> Link:
        opening = self._links.get(url)
        if opening is None or (opening.done() and (opening.exception() is not None or opening.result().lost)):
            opening = self._links[url] = asyncio.ensure_future(Link.open(self._caller.http, url))
        try:
            return await asyncio.shield(opening)
        except LinkError as error:
            raise NotSentError(str(error)) from error


def _results(answer: SessionAnswer) -> list[Result]:
    if answer.error:
        raise _failure(answer.code, answer.error, unknown=answer.unknown)
    return answer.results


def _failure(status: int, sentence: str, *, unknown: bool) -> Exception:
    if status in (400, 413):
        return CommandsRefused(sentence)
    if unknown or status == 500:
        return UnknownFateError(sentence)
    if status == 429:
        return BusyError(sentence)
    return NotSentError(sentence)
