"""Listens to one process as an observer and as an operator does, without the client that hides what it should not see.

The Python client shows an unbroken sequence whatever the replicas send. A probe wants to know what they sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import aiohttp
import msgspec

from pairsim.client import ClientError, ProcessClient
from pairsim.model.geometry import Box
from pairsim.protocol.bounds import box_query
from pairsim.protocol.frames import MAX_FRAME, Frame
from pairsim_chaos.probe.area import AreaNotes

_PAUSE = 0.1
_CONNECT = 1.0
_SILENCE = 5.0
_DIGESTS_EVERY = 1.0
_DIGESTS = 200
Found = Callable[[str], AreaNotes | None]
"""The notes of an area; None for one that the probe does not look at."""


class Listener:
    """Of one simulator process."""

    def __init__(self, url: str, found: Found) -> None:
        """Nothing is opened yet."""
        self._url, self._found = url, found
        self._area = ""
        self._replica = ""
        self._told = 0

    async def run(self) -> None:
        """Until it is cancelled; a process that cannot be reached is tried again and again."""
        await asyncio.gather(self._statuses(), self._frames(), self._digests())

    async def _statuses(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with ProcessClient(self._url, deadline=_CONNECT) as client:
                with contextlib.suppress(ClientError):
                    async for status in client.watch():
                        if status.area != self._area:
                            self._told = 0
                        self._area, self._replica = status.area, status.replica
                        notes = self._found(status.area)
                        if notes is not None:
                            notes.status(status, loop.time())
            await asyncio.sleep(_PAUSE)

    async def _frames(self) -> None:
        while True:
            notes = self._found(self._area)
            if notes is not None:
                with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError):
                    await self._observe(notes, self._area)
            await asyncio.sleep(_PAUSE)

    async def _observe(self, notes: AreaNotes, area: str) -> None:
        before = (0, 0)
        timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            async with asyncio.timeout(_CONNECT):
                socket = await http.ws_connect(
                    f"{self._url}/v1/observe", params=_nowhere(notes.bounds), max_msg_size=MAX_FRAME
                )
            async with socket:
                while self._area == area:
                    message = await socket.receive(_SILENCE)
                    if message.type is not aiohttp.WSMsgType.BINARY:
                        return
                    frame = msgspec.msgpack.decode(message.data, type=Frame)
                    before = notes.ticks.frame(self._replica, before, frame.term, frame.tick)

    async def _digests(self) -> None:
        while True:
            await asyncio.sleep(_DIGESTS_EVERY)
            notes = self._found(self._area)
            if notes is None:
                continue
            async with ProcessClient(self._url, area=self._area, deadline=_CONNECT) as client:
                with contextlib.suppress(ClientError):
                    tick = (await client.status()).tick
                    told = await client.digests(max(self._told + 1, tick - _DIGESTS, 0), tick)
                    notes.digests.told(self._replica, told)
                    self._told = max(self._told, *told) if told else self._told


def _nowhere(bounds: Box) -> dict[str, str]:
    """A box with next to nobody in it: ticks are what counts."""
    return box_query(bounds.min, [low + (high - low) * 1e-6 for low, high in zip(bounds.min, bounds.max, strict=True)])
