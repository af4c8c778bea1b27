"""A client's kept connection for many batches, with all the guarantees of a single one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pairsim.client.delivery import Delivery
from pairsim.client.errors import Unavailable
from pairsim.client.http import Caller
from pairsim.client.transports import Linking
from pairsim.model.commands import Command, Result
from pairsim.protocol.frames import SESSION_BATCHES


class Session:
    """Batches over one kept connection; made by `AreaClient.session`. `send` may be called concurrently."""

    def __init__(self, caller: Caller, urls: Sequence[str], *, hedge: float, deadline: float, tick: int) -> None:
        self._linking = Linking(caller)
        self._delivery = Delivery(urls, self._linking.attempt, hedge=hedge)
        self._delivery.tick = tick
        self._deadline = deadline
        self._window = asyncio.Semaphore(SESSION_BATCHES)

    async def send(self, commands: Sequence[Command]) -> list[Result]:
        """See `AreaClient.send`. Waits for room when 64 batches are under way.

        Raises:
            CommandsRefused, Overloaded, Unavailable: As there.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + self._deadline
        try:
            async with asyncio.timeout_at(end):
                await self._window.acquire()
        except TimeoutError:
            raise Unavailable("there was no room in the session before the deadline: nothing was sent") from None
        try:
            return await self._delivery.deliver(commands, end - loop.time())
        finally:
            self._window.release()

    async def close(self) -> None:
        """Ends it; batches that are under way fail."""
        await self._linking.close()
