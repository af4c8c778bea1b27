"""A passive's way to its active: one kept session, batches pipelined over it.

When the session breaks, or another replica leads, everything under way fails at once, so that the gateway can send
it again to whoever is the active then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp

from pairsim.client.session_connection import Link, LinkError, LinkLostError
from pairsim.model.assignment import Member
from pairsim.model.commands import Command, CommandError
from pairsim.replication.service import BatchInterruptedError, Committed, InboxFullError, NotActiveError
from pairsim.server.http.errors import HttpError

PAUSE_SECONDS = 0.01
"""After a failed connection, before the next one to the same replica."""


class Relay:
    """See the module. Event loop only."""

    def __init__(self, token: str) -> None:
        """Opens nothing yet."""
        self._token = token
        self._http: aiohttp.ClientSession | None = None
        self._target: Member | None = None
        self._opening: asyncio.Task[Link] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._pause_until = 0.0

    async def send(self, leader: Member, commands: Sequence[Command]) -> Committed:
        """Has the active commit a batch.

        Raises:
            NotActiveError: There is no session with it: nothing was sent, or it says that it is not the active.
            BatchInterruptedError: The session broke first: the batch's fate is unknown.
            CommandError, InboxFullError: What the active answered.
        """
        link = await self._link(leader)
        try:
            answer = await link.request(commands)
        except LinkLostError as error:
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

    def ready(self, leader: Member) -> bool:
        """Whether a batch may be sent to this replica now."""
        opening = self._opening
        return self._target == leader and opening is not None and not _is_lost(opening) and not self.pausing()

    def pausing(self) -> bool:
        """Whether the newest attempt failed just now."""
        return asyncio.get_running_loop().time() < self._pause_until

    def prepare(self, leader: Member) -> None:
        """Opens the session, in the background."""
        if not self.pausing() and not self.ready(leader):
            self._dial(leader)

    def leader_is(self, leader: Member) -> bool:
        """Gives up the session with any other replica; True if batches were under way in it, which fail now."""
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

    async def _link(self, leader: Member) -> Link:
        self.leader_is(leader)
        opening = self._opening
        if opening is None or _is_lost(opening):
            opening = self._dial(leader)
        try:
            return await asyncio.shield(opening)
        except LinkError:
            raise NotActiveError(None) from None
        except asyncio.CancelledError:
            if opening.cancelled():
                raise NotActiveError(None) from None
            raise

    def _dial(self, leader: Member) -> asyncio.Task[Link]:
        self._drop()
        self._target = leader
        self._opening = opening = asyncio.ensure_future(self._open(leader))
        opening.add_done_callback(self._dialled)
        return opening

    def _dialled(self, opening: asyncio.Task[Link]) -> None:
        if not opening.cancelled() and opening.exception() is not None and self._opening is opening:
            self._pause()

    async def _open(self, leader: Member) -> Link:
        if self._http is None:
            self._http = aiohttp.ClientSession()
        return await Link.open(self._http, leader.url, relay_token=self._token)

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


def _is_lost(opening: asyncio.Task[Link]) -> bool:
    return opening.done() and (opening.cancelled() or opening.exception() is not None or opening.result().lost)
