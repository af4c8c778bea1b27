"""`POST /v1/commands`: one batch of commands in one request."""

from __future__ import annotations

import msgspec
from aiohttp import web

from pairsim.protocol.frames import CommandAnswer, CommandBatch
from pairsim.replication.service import ReplicaService
from pairsim.server.commands.gateway import Gateway
from pairsim.server.commands.validation import check_batch
from pairsim.server.http.requests import read_json


class CommandHandler:
    """The handler of `POST /v1/commands`; it answers when the batch is committed, or with the reason why not."""

    def __init__(self, service: ReplicaService, gateway: Gateway) -> None:
        self._service, self._gateway = service, gateway

    async def handle(self, request: web.Request) -> web.Response:
        """Handles one batch."""
        batch = await read_json(request, CommandBatch)
        check_batch(batch.commands, self._service)
        committed = await self._gateway.commit(batch.commands)
        body = msgspec.json.encode(CommandAnswer(committed.term, committed.results))
        return web.Response(body=body, content_type="application/json")
