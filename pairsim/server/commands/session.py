"""`WS /v1/session`: batches of commands in, results out, many batches under way at once.

A batch costs one decoding, one task and one frame; a command costs only the schema check. When the window is full
the server stops reading: the client is slowed down by its own connection, and nothing is lost.
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
from pairsim.replication.service import ReplicaService
from pairsim.server.commands.gateway import Gateway
from pairsim.server.commands.validation import check_batch
from pairsim.server.errors import to_http_error
from pairsim.server.http.auth import has_token
from pairsim.server.http.errors import internal_error
from pairsim.server.http.websockets import TooSlowError, WebSockets, close, disconnect_slow, send

MAX_SESSIONS = 256
IDLE_SECONDS = 30.0
"""When all sessions are taken, a session in which nothing was sent for that long is closed for a new one."""

_ANSWER_SECONDS = 2.0
"""How long a process that ends waits for the answers of batches that are under way."""


class Sessions:
    """The handler of `/v1/session`.

    Attributes:
        sockets: The open WebSockets of all sessions.
    """

    def __init__(self, service: ReplicaService, gateway: Gateway, token: str) -> None:
        self._token = token
        self.sockets = WebSockets("sessions", MAX_SESSIONS, idle=IDLE_SECONDS)
        self._service, self._gateway = service, gateway
        self._open: set[ServerSession] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serves one session until its client disconnects."""
        # The passive holds and retries for many clients: its session is accepted even when all are taken.
        relayed = request.headers.get(RELAY_HEADER) == "1" and has_token(request, self._token)

        async def work(socket: web.WebSocketResponse) -> None:
            session = ServerSession(
                socket,
                request,
                self._service,
                self._gateway,
                relayed=relayed,
                on_batch=lambda: self.sockets.mark_used(socket),
            )
            self._open.add(session)
            try:
                await session.run()
            finally:
                self._open.discard(session)

        return await self.sockets.serve(request, work, max_frame=MAX_RELAYED if relayed else MAX_BODY, always=relayed)

    async def close(self) -> None:
        """Answers the batches that are under way, then closes all sessions; used when the process ends."""
        tasks = [task for session in self._open for task in session.tasks]
        if tasks:
            await asyncio.wait(tasks, timeout=_ANSWER_SECONDS)
        await self.sockets.close()


class ServerSession:
    """One open session.

    Attributes:
        tasks: One task for each batch that is under way.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.Request,
        service: ReplicaService,
        gateway: Gateway,
        *,
        relayed: bool,
        on_batch: Callable[[], None],
    ) -> None:
        """Creates the session of a socket.

        Args:
            socket: The WebSocket.
            request: The request that was upgraded to it.
            service: The replica.
            gateway: Commits the batches.
            relayed: Whether the client is the passive, which retries by itself.
            on_batch: Is called with every batch that arrives.
        """
        self.tasks: set[asyncio.Task[None]] = set()
        self._socket, self._request, self._service, self._gateway = socket, request, service, gateway
        self._relayed, self._on_batch = relayed, on_batch
        self._commands = 0
        self._batch_done = asyncio.Event()
        self._decoder = msgspec.msgpack.Decoder(SessionBatch)
        self._encoder = msgspec.msgpack.Encoder()

    async def run(self) -> None:
        """Reads batches and answers each of them, until the client disconnects or sends an invalid frame."""
        try:
            async for message in self._socket:
                if message.type is not WSMsgType.BINARY:
                    await self._refuse("a session takes binary frames of MessagePack")
                    return
                try:
                    batch = self._decoder.decode(message.data)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    # An answer would need the batch's number, which was not read.
                    await self._refuse(f"not a batch: {error}")
                    return
                self._on_batch()
                await self._accept(batch)
        finally:
            for task in self.tasks:
                task.cancel()

    async def _accept(self, batch: SessionBatch) -> None:
        size = len(batch.commands)
        while self.tasks and (len(self.tasks) >= SESSION_BATCHES or self._commands + size > SESSION_COMMANDS):
            self._batch_done.clear()
            await self._batch_done.wait()  # bounded by the deadline of every batch
        self._commands += size
        task = asyncio.ensure_future(self._answer(batch))
        self.tasks.add(task)
        task.add_done_callback(lambda done: self._on_batch_done(done, size))

    def _on_batch_done(self, task: asyncio.Task[None], size: int) -> None:
        self.tasks.discard(task)
        self._commands -= size
        self._batch_done.set()

    async def _answer(self, batch: SessionBatch) -> None:
        answer = await self._commit(batch)
        # A client that gets no answer asks again, with the same ids and in another session.
        try:
            await send(self._socket, self._encoder.encode(answer))
        except TooSlowError as error:
            await disconnect_slow(self._socket, self._request, str(error))
        except ConnectionError:
            await self._socket.close()

    async def _commit(self, batch: SessionBatch) -> SessionAnswer:
        try:
            check_batch(batch.commands, self._service)
            committed = await self._gateway.commit(batch.commands, relayed=self._relayed)
        except Exception as error:  # noqa: BLE001 - the last resort: every batch is answered
            return _failure(batch.seq, error)
        return SessionAnswer(batch.seq, term=committed.term, results=committed.results)

    async def _refuse(self, sentence: str) -> None:
        await close(self._socket, WSCloseCode.UNSUPPORTED_DATA, sentence)


def _failure(seq: int, error: Exception) -> SessionAnswer:
    known = to_http_error(error) or internal_error(error, "a session's batch")
    return SessionAnswer(seq, error=known.sentence, code=known.status, retry=known.retry, unknown=known.unknown)
