"""One `/v1/session` on its client's side: numbered batches out, numbered answers in.

Used by the Python client, and by a passive replica that relays to its active. A connection that breaks fails everything
that is under way at once, so that its sender can try another replica.
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


class SessionNotOpenError(Exception):
    """The session cannot be opened: nothing was sent."""


class SessionLostError(Exception):
    """The session broke while a batch was under way: the batch's outcome is unknown."""


class FrameTooLargeError(Exception):
    """The batch takes more bytes than a frame of this session may: nothing was sent."""


class SessionConnection:
    """An open session."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, limit: int) -> None:
        """Uses an open WebSocket; a frame may take at most `limit` bytes. Begins to read in the background."""
        self._socket, self._limit = socket, limit
        self._seq = 0
        self._waiting: dict[int, asyncio.Future[SessionAnswer]] = {}
        self._lost = False
        self._sending: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Future[bool] | None = None
        self._reading = asyncio.ensure_future(self._read())

    @classmethod
    async def open(cls, http: aiohttp.ClientSession, url: str, *, relay_token: str | None = None) -> SessionConnection:
        """Opens a session with a replica.

        Args:
            http: Opens the WebSocket.
            url: The base of the replica's HTTP API.
            relay_token: The bearer token, if the session is the passive's with its active; None for a client's.

        Raises:
            SessionNotOpenError: The session could not be opened within half a second.
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
            raise SessionNotOpenError(f"no session with {url}: {str(error) or 'it does not answer'}") from error
        return cls(socket, limit)

    @property
    def lost(self) -> bool:
        """Whether the session is closed or broken, and cannot be used any more."""
        return self._lost

    async def request(self, commands: Sequence[Command]) -> SessionAnswer:
        """Sends a batch and waits for its answer; may be called concurrently.

        Raises:
            FrameTooLargeError: The batch does not fit into a frame.
            SessionLostError: The session broke before the answer came.
        """
        if self._lost:
            raise SessionLostError("the session is closed")
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
        """Fails every batch that is under way, at once, and closes the socket in the background."""
        for task in (self._reading, *self._sending):
            task.cancel()
        self._fail_waiting("the session was given up")
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._socket.close())

    async def close(self) -> None:
        """Closes the session, and waits shortly for the server to close it as well."""
        self.drop()
        await asyncio.wait([self._reading], timeout=_CLOSE_SECONDS)
        if self._closing is not None:
            await asyncio.wait([self._closing], timeout=2 * _CLOSE_SECONDS)

    async def _send(self, frame: bytes) -> None:
        try:
            await self._socket.send_bytes(frame)
        except (aiohttp.ClientError, OSError):
            self._fail_waiting("the session broke")

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
            reason = f"the session brought an invalid answer: {error}"
        finally:
            self._fail_waiting(reason)

    def _fail_waiting(self, reason: str) -> None:
        self._lost = True
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(SessionLostError(reason))
