"""One `/v1/session` as its client holds it: numbered batches out, numbered answers in.

Used by the Python client and by a passive replica that relays to its active. A link that breaks fails everything
that is under way at once, so that whoever sent it can go elsewhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aiohttp
import msgspec

from pairsim.client.http import WS_TIMEOUT
from pairsim.model.commands import Command
from pairsim.protocol.frames import MAX_BODY, MAX_RELAYED, RELAY_HEADER, SessionAnswer, SessionBatch

CONNECT_SECONDS = 0.5
_CLOSE_SECONDS = 0.5

_decoder = msgspec.msgpack.Decoder(SessionAnswer)
_encoder = msgspec.msgpack.Encoder()


class LinkError(Exception):
    """The session cannot be opened: nothing was sent."""


class LinkLostError(Exception):
    """The session broke while a batch was under way: its fate is unknown."""


class FrameTooLargeError(Exception):
    """The batch takes more bytes than a frame of this session may: nothing was sent."""


class Link:
    """An open session."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, limit: int) -> None:
        self._socket, self._limit = socket, limit
        self._seq = 0
        self._waiting: dict[int, asyncio.Future[SessionAnswer]] = {}
        self._lost = False
        self._sending: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Future[bool] | None = None
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str, *, relay_token: str | None = None) -> Link:
        """Opens a session with the replica at a base URL; with the token, as its passive.

        Raises:
            LinkError: It did not work within half a second.
        """
        headers: dict[str, str] = {}
        limit = MAX_BODY
        if relay_token is not None:
            headers, limit = {RELAY_HEADER: "1", "Authorization": f"Bearer {relay_token}"}, MAX_RELAYED
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                socket = await http.ws_connect(
                    f"{url}/v1/session", headers=headers, max_msg_size=MAX_BODY, timeout=WS_TIMEOUT
                )
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise LinkError(f"no session with {url}: {str(error) or 'it does not answer'}") from error
        return cls(socket, limit)

    @property
    def lost(self) -> bool:
        """Whether it is of no use any more."""
        return self._lost

    async def request(self, commands: Sequence[Command]) -> SessionAnswer:
        """Sends a batch and waits for its answer; as many at once as one likes.

        Raises:
            FrameTooLargeError: It does not fit into a frame.
            LinkLostError: The session broke first.
        """
        if self._lost:
            raise LinkLostError("the session is closed")
        self._seq += 1
        seq = self._seq
        frame = _encoder.encode(SessionBatch(seq, list(commands)))
        if len(frame) > self._limit:
            raise FrameTooLargeError(f"a frame holds at most {self._limit:,} bytes, this batch takes {len(frame):,}")
        answer: asyncio.Future[SessionAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[seq] = answer
        # Not awaited here: all that wait for the server to read share one future inside aiohttp, and cancelling one
        # request would cancel them all.
        sending = asyncio.ensure_future(self._send(frame))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        try:
            return await answer
        finally:
            self._waiting.pop(seq, None)

    def drop(self) -> None:
        """Fails everything that is under way, at once, and closes in the background."""
        for task in (self._reading, *self._sending):
            task.cancel()
        self._end("the session was given up")
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._socket.close())

    async def close(self) -> None:
        """Closes; waits shortly for the other side."""
        self.drop()
        await asyncio.wait([self._reading], timeout=_CLOSE_SECONDS)
        if self._closing is not None:
            await asyncio.wait([self._closing], timeout=2 * _CLOSE_SECONDS)

    async def _send(self, frame: bytes) -> None:
        try:
            await self._socket.send_bytes(frame)
        except (aiohttp.ClientError, OSError):
            self._end("the session broke")

    async def _read(self) -> None:
        reason = "the session was closed"
        try:
            async for message in self._socket:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    continue
                answer = _decoder.decode(message.data)
                waiting = self._waiting.get(answer.seq)
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except msgspec.MsgspecError as error:
            reason = f"the session brought something that is no answer: {error}"
        finally:
            self._end(reason)

    def _end(self, reason: str) -> None:
        self._lost = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(LinkLostError(reason))
