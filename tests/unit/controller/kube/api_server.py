"""A `MemoryApi` behind a real socket, for tests of the whole controller."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from pairsim_controller.kube.api.port import WATCHED, ApiError, Body, ChangedError, Resource
from pairsim_controller.kube.api.writes import LEASES, SECRETS
from tests.unit.controller.memory_api import MemoryApi

_EVENTS = Resource("events.k8s.io/v1", "events", "Event")
_RESOURCES = {resource.plural: resource for resource in (*WATCHED, LEASES, SECRETS, _EVENTS)}


class ServedApi:
    """Serves a `MemoryApi` over HTTP.

    `break_off` ends all watches and refuses new requests until `cut` is False again.
    """

    def __init__(self, api: MemoryApi) -> None:
        self.api = api
        self.cut = False
        self._watches: list[tuple[Resource, dict[str, str], asyncio.Queue[dict[str, Any] | None]]] = []
        api.watchers.append(self._on_event)

    def break_off(self) -> None:
        self.cut = True
        for _resource, _labels, queue in self._watches:
            queue.put_nowait(None)

    def _on_event(self, resource: Resource, name: str, body: Body | None) -> None:
        for watched, labels, queue in self._watches:
            if watched == resource and (body is None or _selected(body, labels)):
                kind = "DELETED" if body is None else "MODIFIED"
                queue.put_nowait({"type": kind, "object": body or {"metadata": {"name": name, "resourceVersion": "1"}}})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.cut:
            return web.json_response({"message": "away"}, status=503)
        parts = request.path.split("/namespaces/worlds/")[1].split("/")
        resource, name, subresource = _RESOURCES[parts[0]], *[*parts[1:], "", ""][:2]
        labels = dict(pair.split("=") for pair in request.query.get("labelSelector", "").split(",") if pair)
        if request.query.get("watch"):
            return await self._watch(request, resource, labels)
        body: dict[str, Any] = json.loads(await request.text() or "null") or {}
        try:
            return await self._answer(request, resource, name, subresource, labels, body)
        except ChangedError as error:
            return web.json_response({"message": str(error)}, status=409)
        except ApiError as error:
            return web.json_response({"message": str(error)}, status=500)

    async def _answer(
        self, request: web.Request, resource: Resource, name: str, subresource: str, labels: dict[str, str],
        body: dict[str, Any],
    ) -> web.Response:  # fmt: skip
        key = resource.plural, name
        if request.method == "GET" and not name:
            items = [x for (plural, _), x in self.api.objects.items() if plural == key[0] and _selected(x, labels)]
            return web.json_response({"metadata": {"resourceVersion": "0"}, "items": items})
        if request.method == "GET":
            found = self.api.objects.get(key)
            return web.json_response(found or {"message": "none"}, status=200 if found else 404)
        self.api.requests.append((f"{request.method} {resource.plural}", name))
        if request.method == "POST" and resource == _EVENTS:
            self.api.events.append((body["regarding"]["name"], body["reason"], body["note"]))
            return web.json_response(body, status=201)
        if request.method == "POST":
            if (resource.plural, body["metadata"]["name"]) in self.api.objects:
                raise ChangedError("it exists")
            return web.json_response(self.api.put(resource, body), status=201)
        if request.method == "PUT":
            found = self.api.objects.get(key)
            if found is None or found["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
                raise ChangedError("it changed")
            return web.json_response(self.api.put(resource, body))
        self.api.requests.pop()
        force = request.query["force"] == "true"
        return web.json_response(await self.api.apply(resource, body, subresource=subresource, force=force))

    async def _watch(self, request: web.Request, resource: Resource, labels: dict[str, str]) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        watch = resource, labels, queue
        # A listed object may be reported again, so no change between a list and its watch is missed.
        for (plural, _name), found in list(self.api.objects.items()):
            if plural == resource.plural and _selected(found, labels):
                queue.put_nowait({"type": "MODIFIED", "object": found})
        self._watches.append(watch)
        try:
            while (event := await queue.get()) is not None:
                await answer.write(json.dumps(event).encode() + b"\n")
        except ConnectionError:
            pass
        finally:
            self._watches.remove(watch)
        return answer


def _selected(body: Body, labels: dict[str, str]) -> bool:
    metadata: Any = body["metadata"]
    return labels.items() <= metadata.get("labels", {}).items()


@asynccontextmanager
async def served(api: MemoryApi, folder: Path) -> AsyncIterator[tuple[ServedApi, Path]]:
    """Yields the server, and the kubeconfig file for its clients."""
    server = ServedApi(api)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    file = folder / "kubeconfig"
    context = {"cluster": "c", "user": "u", "namespace": "worlds"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}],
        "users": [{"name": "u", "user": {"token": "a-token"}}],
        "contexts": [{"name": "x", "context": context}],
        "current-context": "x",
    }
    file.write_text(json.dumps(config))
    try:
        yield server, file
    finally:
        server.break_off()
        with contextlib.suppress(ConnectionError):
            await runner.cleanup()
