"""`POST /v1/commands`."""

from __future__ import annotations

import msgspec
from aiohttp import web

from pairsim.protocol.frames import CommandAnswer, CommandBatch
from pairsim.replication.service import ReplicaPort
from pairsim.server.commands.gateway import Gateway
from pairsim.server.commands.validation import check_batch
from pairsim.server.http.requests import decode_json, read_body


class CommandHandler:
    """Answers when the batch is committed, or with a reason why not."""

    def __init__(self, port: ReplicaPort, gateway: Gateway) -> None:
        self._port, self._gateway = port, gateway

    async def handle(self, request: web.Request) -> web.Response:
        """One batch."""
        batch = decode_json(await read_body(request), CommandBatch)
        check_batch(batch.commands, self._port.command_schema())
        committed = await self._gateway.commit(batch.commands)
        body = msgspec.json.encode(CommandAnswer(committed.term, committed.results))
        return web.Response(body=body, content_type="application/json")
