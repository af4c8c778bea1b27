"""A client's kept connection for many batches, with all the guarantees of a single batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pairsim.client.delivery import Delivery
from pairsim.client.errors import Unavailable
from pairsim.client.http import HttpClient
from pairsim.client.transports import SessionTransport
from pairsim.model.commands import Command, Result
from pairsim.protocol.frames import SESSION_BATCHES


class Session:
    """Sends batches over kept connections; made by `AreaClient.session`.

    `send` may be called concurrently.
    """

    def __init__(self, http: HttpClient, urls: Sequence[str], *, hedge: float, deadline: float, tick: int) -> None:
        """Opens nothing yet.

        Args:
            http: Opens the connections.
            urls: Bases of the HTTP APIs of the pair's replicas.
            hedge: Seconds without an answer after which a batch is sent to the other replica as well.
            deadline: Seconds that a batch may take altogether.
            tick: The newest committed tick that the client knows of.
        """
        self._transport = SessionTransport(http)
        self._delivery = Delivery(urls, self._transport.attempt, hedge=hedge)
        self._delivery.tick = tick
        self._deadline = deadline
        self._window = asyncio.Semaphore(SESSION_BATCHES)

    async def send(self, commands: Sequence[Command]) -> list[Result]:
        """Has a batch committed, once, by any replica, and returns a result per command in their order.

        Waits while 64 batches of this session are under way.

        Raises:
            CommandsRefused: The batch is not valid; nothing of it was applied.
            Overloaded: The area takes no more commands at the moment; nothing of the batch was applied.
            Unavailable: Not committed before the deadline. Its attribute `unknown` holds the ids of commands that may
                have been applied.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._deadline
        try:
            async with asyncio.timeout_at(end):
                await self._window.acquire()
        except TimeoutError:
            raise Unavailable(
                f"{SESSION_BATCHES} batches of the session were under way until the deadline: nothing was sent"
            ) from None
        try:
            return await self._delivery.deliver(commands, end - loop.time())
        finally:
            self._window.release()

    async def close(self) -> None:
        """Closes the connections; batches that are under way fail."""
        await self._transport.close()
