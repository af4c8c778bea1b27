"""`POST /v1/commands`."""

from __future__ import annotations

import msgspec
from aiohttp import web

from pairsim.network.commands import check_batch
from pairsim.network.frames import CommandAnswer, CommandBatch
from pairsim.network.gateway import Gateway
from pairsim.network.requests import decode_json, read_body
from pairsim.replication.port import ReplicaPort


class CommandHandler:
    """Answers when the batch is committed, or with a reason why not."""

    def __init__(self, port: ReplicaPort, gateway: Gateway) -> None:
        self._port, self._gateway = port, gateway

    async def handle(self, request: web.Request) -> web.Response:
        """One batch."""
        batch = decode_json(await read_body(request), CommandBatch)
        check_batch(batch.commands, self._port.catalogue())
        committed = await self._gateway.commit(batch.commands)
        body = msgspec.json.encode(CommandAnswer(committed.term, committed.results))
        return web.Response(body=body, content_type="application/json")
