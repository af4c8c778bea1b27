"""The client's side of an observation that survives its replica.

After a reconnect the new replica starts with a keyframe. The keyframe is turned into the difference to the content that
the caller has seen, so that the caller sees one unbroken sequence: ticks only go up, and the term never goes down.
The client brings the clock of its last frame, so the keyframe says of the entities that left the area meanwhile whether
they moved to another area or were removed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

import aiohttp
import msgspec
import numpy as np

from pairsim.client.errors import RequestRefused, Unavailable
from pairsim.client.http import WS_TIMEOUT
from pairsim.protocol.frames import MAX_FRAME, Frame
from pairsim.protocol.interest import NO_IDS, AreaSnapshot, apply, diff
from pairsim.wording import duration

_CONNECT_SECONDS = 0.5
_PAUSE_SECONDS = 0.02
_TOO_BIG = aiohttp.WSCloseCode.MESSAGE_TOO_BIG


class Continuity:
    """Turns the frames of one connection after another into one sequence.

    Attributes:
        content: The content that the caller has seen; None before the first frame.
    """

    def __init__(self) -> None:
        self.content: AreaSnapshot | None = None
        self._connection: AreaSnapshot | None = None
        self._in_step = False
        self._departed: dict[int, str | None] = {}
        """Where entities went in frames that were held back, None for those that were removed."""

    def reconnected(self) -> None:
        """Notes that the next frame is the first of a new connection."""
        self._connection, self._in_step = None, False
        self._departed = {}

    @property
    def clock(self) -> int:
        """The clock of the last frame that the caller has seen; 0 if it is not known."""
        return self.content.clock if self.content is not None else 0

    def accept(self, frame: Frame) -> Frame | None:
        """Returns the frame for the caller; None if it has nothing new for the caller.

        A frame of a lower term, or of a tick that the caller has seen, is held back: it comes from a replica that lags,
        or that does not know yet that it was superseded. Its connection is kept, and its frames are passed on once they
        are ahead.

        Raises:
            ValueError: The frame does not follow from the frames before it in its connection.
        """
        if self._connection is None and not frame.keyframe:
            raise ValueError("a connection must begin with a keyframe")
        self._connection = apply(self._connection, frame)
        seen = self.content
        if seen is not None and (frame.term < seen.term or frame.tick <= seen.tick):
            self._in_step = False
            self._note_departures(self._connection)
            return None
        in_step, self._in_step, self.content = self._in_step, True, self._connection
        if seen is None or in_step:
            return frame
        self._note_departures(self._connection)
        return diff(seen, self._with_departures(self._connection))

    def _note_departures(self, content: AreaSnapshot) -> None:
        for area, ids in content.moved.items():
            self._departed |= dict.fromkeys(ids.tolist(), area)
        self._departed |= dict.fromkeys(content.gone.tolist())

    def _with_departures(self, content: AreaSnapshot) -> AreaSnapshot:
        departed, self._departed = self._departed, {}
        if not departed:
            return content
        by_area: dict[str | None, list[int]] = {}
        for entity, area in departed.items():
            by_area.setdefault(area, []).append(entity)
        arrays = {area: np.array(ids, np.int64) for area, ids in by_area.items()}
        moved = {area: ids for area, ids in arrays.items() if area is not None}
        return msgspec.structs.replace(content, moved=moved, gone=arrays.get(None, NO_IDS))


async def observe(
    http: aiohttp.ClientSession,
    urls: Callable[[], Sequence[str]],
    query: Mapping[str, str],
    *,
    silence: float,
    replica_silence: float,
    continuity: Continuity | None = None,
) -> AsyncGenerator[Frame, None]:
    """Yields the frames of one unbroken sequence.

    Args:
        http: Opens the WebSockets.
        urls: Returns the bases of the HTTP APIs of the pair's present replicas.
        query: The query parameters of `/v1/observe`.
        silence: Seconds without a new frame from any replica after which the observation ends with an error.
        replica_silence: Seconds without a new frame from one replica after which the next replica is asked.
        continuity: Has the content after each frame, for a caller who wants to see it.

    Raises:
        RequestRefused: The query is not valid here.
        Unavailable: No replica brought a new frame for `silence` seconds.
    """
    loop = asyncio.get_running_loop()
    continuity = continuity or Continuity()
    knows_clocks = True
    last = "no replica was asked"
    end = loop.time() + silence
    for attempt in itertools.count():
        present = urls()
        url = present[attempt % len(present)] if present else ""
        per_replica = min(replica_silence, silence) if len(present) > 1 else silence
        since = {"clock": str(continuity.clock)} if continuity.clock and knows_clocks else {}
        try:
            async with asyncio.timeout(min(_CONNECT_SECONDS, max(end - loop.time(), 0.001))):
                socket = await http.ws_connect(
                    f"{url}/v1/observe", params={**query, **since}, max_msg_size=MAX_FRAME, timeout=WS_TIMEOUT
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 400 and since:
                knows_clocks = False  # the process may be one of an earlier version
            elif error.status == 400:
                raise RequestRefused(
                    400, f"{url} refuses this observation: check the names, the bounds and the rate"
                ) from error
            last = f"{url} answered {error.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            last = f"{url}: {str(error) or 'no answer'}" if url else "the area has no replicas at the moment"
        else:
            continuity.reconnected()
            async with socket:
                async for new in _frames(socket, continuity, per_replica):
                    end = loop.time() + silence
                    yield new
            if socket.close_code == _TOO_BIG:
                raise RequestRefused(413, "the box holds more entities than a frame may: choose a smaller one")
            last = f"{url} sent no more new frames"
        if loop.time() >= end:
            raise Unavailable(f"no new frame came for {duration(silence)}: {last}")
        await asyncio.sleep(_PAUSE_SECONDS)


async def _frames(
    socket: aiohttp.ClientWebSocketResponse, continuity: Continuity, silence: float
) -> AsyncGenerator[Frame, None]:
    """Yields the new frames of one connection, until it ends or brings none for `silence` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + silence
    while True:
        try:
            async with asyncio.timeout_at(end):
                message = await socket.receive()
        except TimeoutError:
            return
        if message.type is not aiohttp.WSMsgType.BINARY:
            return
        try:
            new = continuity.accept(msgspec.msgpack.decode(message.data, type=Frame))
        except (msgspec.MsgspecError, ValueError, KeyError):
            return  # the process at this address cannot be a replica of this area
        if new is not None:
            end = loop.time() + silence
            yield new
