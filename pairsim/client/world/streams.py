"""Observes all areas of a world at once, and brings their frames to one reader.

Each area has a stream of its own, which survives its replicas. The queue between the streams and the reader is bounded:
a slow reader stops the streams, and gets fewer frames, each with a larger difference.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import NamedTuple

import msgspec

from pairsim.client.errors import ClientError, Unavailable
from pairsim.client.http import HttpClient
from pairsim.client.observation import Continuity, observe
from pairsim.client.world.atlas import Atlas
from pairsim.client.world.merge import WorldFrame, WorldMerge
from pairsim.protocol.frames import Frame
from pairsim.protocol.interest import AreaSnapshot
from pairsim.wording import duration

FIRST_SECONDS = 2.0
"""How long the first frame waits for areas that have not shown anything."""

SILENT_SECONDS = 1.0
_REPLICA_SILENCE_SECONDS = 1.0
_LOOK_SECONDS = 0.1
_MOST_WAITING = 16


class _Shown(NamedTuple):
    """A frame of an area, and what the area shows after it."""

    area: str
    frame: Frame
    content: AreaSnapshot


class WorldStreams:
    """The streams of one observation of a world. Event loop only."""

    def __init__(self, atlas: Atlas, query: Mapping[str, str], merge: WorldMerge, *, seconds: float) -> None:
        """Opens nothing yet.

        Args:
            atlas: The newest map: its areas are observed.
            query: The query parameters of `/v1/observe`.
            merge: Merges their frames.
            seconds: How long all areas may be silent.
        """
        self._atlas, self._query, self._seconds = atlas, query, seconds
        self._merge = merge
        self._queue: asyncio.Queue[_Shown | ClientError] = asyncio.Queue(_MOST_WAITING)
        self._streams: dict[tuple[int, str], asyncio.Task[None]] = {}
        self._heard: dict[str, float] = {}

    async def frames(self) -> AsyncGenerator[WorldFrame, None]:
        """Yields the frames of the world, a keyframe first.

        Raises:
            RequestRefused: An area refuses the query, or the box holds too many entities of one.
            Unavailable: No area showed anything new in time.
        """
        try:
            async with aclosing(self._changes()) as changes:
                async for frame in changes:
                    yield frame
        finally:
            tasks = list(self._streams.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _changes(self) -> AsyncGenerator[WorldFrame, None]:
        loop = asyncio.get_running_loop()
        first_until, end = loop.time() + min(FIRST_SECONDS, self._seconds), loop.time() + self._seconds
        shown: Frame | None = None
        began = False
        while True:
            self._follow_map(loop.time())
            frame: WorldFrame | None = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    one = await self._queue.get()
                    if isinstance(one, ClientError):
                        raise one
                    end = loop.time() + self._seconds
                    self._heard[one.area], shown = loop.time(), one.frame
                    frame = self._merge.take(one.area, one.frame, one.content, loop.time(), self._silent(loop.time()))
            now = loop.time()
            if now >= end:
                raise Unavailable(f"no area showed a tick for {duration(self._seconds)}")
            frame = frame or self._merge.wait(now, self._silent(now))
            if began and frame is not None:
                yield msgspec.structs.replace(frame, silent=self._silent(now))
            elif not began and shown is not None and (self._complete() or now >= first_until):
                began = True
                yield msgspec.structs.replace(self._merge.keyframe(shown), silent=self._silent(now))

    def _complete(self) -> bool:
        return self._heard.keys() >= set(self._atlas)

    def _silent(self, now: float) -> tuple[str, ...]:
        return tuple(area for area in self._atlas if now - self._heard.get(area, -SILENT_SECONDS) >= SILENT_SECONDS)

    def _follow_map(self, now: float) -> None:
        """Begins the streams of new areas, and ends those of areas that the map does not have any more."""
        present = {(cell.number, cell.area) for cell in self._atlas.cells}
        for key in self._streams.keys() - present:
            self._streams.pop(key).cancel()
            self._heard.pop(key[1], None)
            self._merge.drop(key[1], now)
        for key in present - self._streams.keys():
            self._streams[key] = asyncio.ensure_future(self._stream(key[1]))

    async def _stream(self, area: str) -> None:
        """Puts the frames of an area into the queue, as one unbroken sequence, for as long as it is observed."""
        http, continuity = HttpClient(area), Continuity()
        try:
            while True:
                frames = observe(
                    http.session,
                    lambda: self._atlas.urls(area),
                    self._query,
                    silence=self._seconds,
                    replica_silence=_REPLICA_SILENCE_SECONDS,
                    continuity=continuity,
                )
                with contextlib.suppress(Unavailable):
                    async with aclosing(frames):
                        async for frame in frames:
                            if continuity.content is not None:
                                await self._queue.put(_Shown(area, frame, continuity.content))
        except ClientError as error:
            await self._queue.put(error)
        finally:
            await http.close()
