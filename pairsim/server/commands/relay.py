"""The passive's connection to its active: one kept session, over which batches are pipelined.

When the session breaks, or another replica leads, everything under way fails at once, so that the gateway can send
it again to the replica that is the active then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from pairsim.client.session_connection import SessionConnection, SessionLostError, SessionNotOpenError
from pairsim.model.assignment import Member
from pairsim.model.commands import Command, CommandError
from pairsim.replication.service import BatchInterruptedError, Committed, InboxFullError, NotActiveError
from pairsim.server.http.errors import HttpError

PAUSE_SECONDS = 0.01
"""How long after a failed connection the relay waits before it connects to the same replica again."""


class Relay:
    """Sends batches to the active over one session, which it opens when needed. Event loop only."""

    def __init__(self, token: str) -> None:
        """Creates a relay that has no session yet; the token shows the active that the session is the passive's."""
        self._token = token
        self._http: aiohttp.ClientSession | None = None
        self._target: Member | None = None
        self._opening: asyncio.Task[SessionConnection] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._pause_until = 0.0

    async def send(self, leader: Member, commands: Sequence[Command]) -> Committed:
        """Has the active commit a batch.

        Raises:
            NotActiveError: No session could be opened and nothing was sent, or the replica is not the active.
            BatchInterruptedError: The session broke before the answer: the batch's outcome is unknown.
            CommandError, InboxFullError, HttpError: The active's answer.
        """
        connection = await self._connect(leader)
        try:
            answer = await connection.request(commands)
        except SessionLostError as error:
            raise BatchInterruptedError(f"the connection to the active broke: {error}") from error
        if not answer.error:
            return Committed(answer.term, answer.results)
        if answer.code == 429:
            raise InboxFullError(answer.error)
        if answer.unknown:
            raise BatchInterruptedError(answer.error)
        if answer.code == 503:
            self._pause()
            raise NotActiveError(None)
        if answer.code == 400:
            raise CommandError(answer.error)
        raise HttpError(answer.code, answer.error)

    def is_ready(self, leader: Member) -> bool:
        """Returns whether a batch may be sent to this replica now."""
        opening = self._opening
        return self._target == leader and opening is not None and not _is_lost(opening) and not self.is_pausing()

    def is_pausing(self) -> bool:
        """Returns whether the newest attempt to connect failed less than `PAUSE_SECONDS` ago."""
        return asyncio.get_running_loop().time() < self._pause_until

    def prepare(self, leader: Member) -> None:
        """Opens the session with this replica in the background."""
        if not self.is_pausing() and not self.is_ready(leader):
            self._dial(leader)

    def follow_leader(self, leader: Member) -> bool:
        """Drops a session with any other replica than the leader; returns whether there was one.

        Batches that were under way in the dropped session fail.
        """
        if self._target is None or self._target == leader:
            return False
        self._drop()
        return True

    async def close(self) -> None:
        """Ends the session."""
        self._drop()
        if self._closing:
            await asyncio.wait(self._closing)
        if self._http is not None:
            await self._http.close()

    async def _connect(self, leader: Member) -> SessionConnection:
        self.follow_leader(leader)
        opening = self._opening
        if opening is None or _is_lost(opening):
            opening = self._dial(leader)
        try:
            return await asyncio.shield(opening)
        except SessionNotOpenError:
            raise NotActiveError(None) from None
        except asyncio.CancelledError:
            if opening.cancelled():
                raise NotActiveError(None) from None
            raise

    def _dial(self, leader: Member) -> asyncio.Task[SessionConnection]:
        self._drop()
        self._target = leader
        self._opening = opening = asyncio.ensure_future(self._open(leader))
        opening.add_done_callback(self._on_dialled)
        return opening

    def _on_dialled(self, opening: asyncio.Task[SessionConnection]) -> None:
        if not opening.cancelled() and opening.exception() is not None and self._opening is opening:
            self._pause()

    async def _open(self, leader: Member) -> SessionConnection:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        return await SessionConnection.open(self._http, leader.url, relay_token=self._token)

    def _drop(self) -> None:
        opening, self._opening, self._target = self._opening, None, None
        self._pause_until = 0.0
        if opening is None:
            return
        if not opening.done():
            opening.cancel()
        elif not opening.cancelled() and opening.exception() is None:
            closing = asyncio.ensure_future(opening.result().close())
            opening.result().drop()
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _pause(self) -> None:
        self._pause_until = asyncio.get_running_loop().time() + PAUSE_SECONDS


def _is_lost(opening: asyncio.Task[SessionConnection]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None or opening.result().lost)
