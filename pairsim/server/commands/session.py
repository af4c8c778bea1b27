"""`WS /v1/session`: batches in, results out, many under way at once.

Per batch there is one decoding, one task and one frame; nothing is done per command but the catalogue's check. When
the window is full the server does not read on: the client is slowed down by its own connection, and nothing is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from pairsim.protocol.frames import (
    MAX_BODY,
    MAX_RELAYED,
    RELAY_HEADER,
    SESSION_BATCHES,
    SESSION_COMMANDS,
    SessionAnswer,
    SessionBatch,
)
from pairsim.replication.service import ReplicaPort
from pairsim.server.commands.gateway import Gateway
from pairsim.server.commands.validation import check_batch
from pairsim.server.http.auth import has_token
from pairsim.server.http.errors import explain, unexpected
from pairsim.server.http.websockets import Sockets, TooSlowError, expel, finish, send

MAX_SESSIONS = 256
IDLE_SECONDS = 30.0
"""A session in which nothing was sent for that long gives way when all are taken."""

_FINISH_SECONDS = 2.0


class Sessions:
    """Serves sessions."""

    def __init__(self, port: ReplicaPort, gateway: Gateway, token: str) -> None:
        self._token = token
        self.sockets = Sockets("sessions", MAX_SESSIONS, idle=IDLE_SECONDS)
        self._port, self._gateway = port, gateway
        self._open: set[_Session] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One session, until its client goes."""
        # The passive does the holding and retrying for many clients: its session is never one too many.
        relayed = request.headers.get(RELAY_HEADER) == "1" and has_token(request, self._token)

        async def work(socket: web.WebSocketResponse) -> None:
            session = _Session(
                socket, request, self._port, self._gateway, relayed=relayed, used=lambda: self.sockets.used(socket)
            )
            self._open.add(session)
            try:
                await session.run()
            finally:
                self._open.discard(session)

        return await self.sockets.serve(request, work, max_frame=MAX_RELAYED if relayed else MAX_BODY, always=relayed)

    async def close(self) -> None:
        """Answers what is under way, then says goodbye: the process ends."""
        tasks = [task for session in self._open for task in session.tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=_FINISH_SECONDS)
        await self.sockets.close()


class _Session:
    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.Request,
        port: ReplicaPort,
        gateway: Gateway,
        *,
        relayed: bool,
        used: Callable[[], None],
    ) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._socket, self._request, self._port, self._gateway = socket, request, port, gateway
        self._relayed, self._used = relayed, used
        self._commands = 0
        self._room = asyncio.Event()
        self._decoder = msgspec.msgpack.Decoder(SessionBatch)
        self._encoder = msgspec.msgpack.Encoder()

    async def run(self) -> None:
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.BINARY:
                    await self._refuse("a session takes binary frames of MessagePack")
                    return
                try:
                    batch = self._decoder.decode(message.data)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    # Without its number there is nothing to answer to.
                    await self._refuse(f"not a batch: {error}")
                    return
                self._used()
                await self._accept(batch)
        finally:
            for task in self.tasks:
                task.cancel()

    async def _accept(self, batch: SessionBatch) -> None:
        size = len(batch.commands)
        while self.tasks and (len(self.tasks) >= SESSION_BATCHES or self._commands + size > SESSION_COMMANDS):
            self._room.clear()
            await self._room.wait()  # bounded by the deadline of every batch
        self._commands += size
        task = asyncio.ensure_future(self._answer(batch))
        self.tasks.add(task)
        task.add_done_callback(lambda done: self._leave(done, size))

    def _leave(self, task: asyncio.Task[None], size: int) -> None:
        self.tasks.discard(task)
        self._commands -= size
        self._room.set()

    async def _answer(self, batch: SessionBatch) -> None:
        answer = await self._commit(batch)
        # Without an answer the client asks again, with the same ids and in another session.
        try:
            await send(self._socket, self._encoder.encode(answer))
        except TooSlowError as error:
            await expel(self._socket, self._request, str(error))
        except ConnectionError:
            await self._socket.close()

    async def _commit(self, batch: SessionBatch) -> SessionAnswer:
        try:
            check_batch(batch.commands, self._port.command_schema())
            committed = await self._gateway.commit(batch.commands, relayed=self._relayed)
        except Exception as error:  # noqa: BLE001 - the last resort: every batch is answered
            return _failure(batch.seq, error)
        return SessionAnswer(batch.seq, term=committed.term, results=committed.results)

    async def _refuse(self, sentence: str) -> None:
        await finish(self._socket, WSCloseCode.UNSUPPORTED_DATA, sentence)


def _failure(seq: int, error: Exception) -> SessionAnswer:
    known = explain(error) or unexpected(error, "a session's batch")
    return SessionAnswer(seq, error=known.sentence, code=known.status, retry=known.retry, unknown=known.unknown)
