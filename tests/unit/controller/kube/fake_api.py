"""An API server on a real socket, with the parts of Kubernetes' behaviour that the controller's client relies on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from pairsim_controller.kube.api.connection import Connection

Item = dict[str, Any]


class FakeApi:
    """Objects by path, their changes, and faults.

    Attributes:
        refuse: Status and headers of the answers to the next requests.
        hung: Whether requests get no answer.
        brief: Whether a watch ends after the changes that exist when it begins.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Item]] = {}
        self.changes: list[tuple[int, str, str, Item]] = []
        self.version = 1
        self.oldest = 0
        self.refuse: list[tuple[int, dict[str, str]]] = []
        self.hung = self.brief = False
        self.watched: list[float] = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.changed = asyncio.Condition()
        self.page = 2
        self._watches: set[asyncio.Task[Any]] = set()

    # --- for tests

    async def put(self, path: str, name: str, **fields: object) -> Item:
        kept = self.objects.setdefault(path, {})
        kind = "MODIFIED" if name in kept else "ADDED"
        self.version += 1
        body: Item = {**fields, "metadata": {"name": name, "resourceVersion": str(self.version)}}
        kept[name] = body
        await self._note(path, kind, body)
        return body

    async def remove(self, path: str, name: str) -> None:
        self.version += 1
        await self._note(path, "DELETED", self.objects[path].pop(name))

    def compact(self) -> None:
        """Forgets all changes: a watch from an earlier version gets a 410."""
        self.oldest = self.version

    def cut(self) -> None:
        """Ends all watches in the middle."""
        for watch in self._watches:
            watch.cancel()

    async def _note(self, path: str, kind: str, body: Item) -> None:
        self.changes.append((self.version, path, kind, json.loads(json.dumps(body))))
        async with self.changed:
            self.changed.notify_all()

    # --- the server

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path, dict(request.query)))
        if self.hung:
            await asyncio.sleep(3600)
        if self.refuse:
            status, headers = self.refuse.pop(0)
            return web.json_response({"kind": "Status", "message": "as ordered"}, status=status, headers=headers)
        collection, _, name = request.path.rpartition("/")
        if request.method == "GET" and request.query.get("watch"):
            return await self._watch(request)
        if request.method == "GET" and request.path in self.objects:
            return self._list(request)
        if request.method == "POST":
            return await self._create(request)
        found = self.objects.get(collection, {}).get(name)
        if found is None and not (request.method == "PATCH" and "apply" in request.content_type):
            return web.json_response({"message": f"{name} is not there"}, status=404)
        if request.method == "DELETE":
            await self.remove(collection, name)
            return web.json_response({"kind": "Status", "status": "Success"})
        if request.method in {"PUT", "PATCH"}:
            body = json.loads(await request.text())
            wanted = body.get("metadata", {}).get("resourceVersion")
            if wanted is not None and (found is None or wanted != found["metadata"]["resourceVersion"]):
                return web.json_response({"message": f"{name} was changed"}, status=409)
            whole = body if request.method == "PUT" else {**(found or {}), **body}
            return web.json_response(await self._store(collection, name, whole))
        return web.json_response(found)

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = body["metadata"]["name"]
        if name in self.objects.get(request.path, {}):
            return web.json_response({"message": f"{name} exists"}, status=409)
        return web.json_response(await self._store(request.path, name, body), status=201)

    async def _store(self, path: str, name: str, body: Item) -> Item:
        fields = {key: value for key, value in body.items() if key != "metadata"}
        return await self.put(path, name, **fields)

    def _list(self, request: web.Request) -> web.Response:
        names = sorted(self.objects[request.path])
        start = int(request.query.get("continue", "0"))
        rest = str(start + self.page) if start + self.page < len(names) else ""
        items = [self.objects[request.path][name] for name in names[start : start + self.page]]
        return web.json_response({"metadata": {"resourceVersion": str(self.version), "continue": rest}, "items": items})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        self.watched.append(asyncio.get_running_loop().time())
        seen = int(request.query["resourceVersion"])
        answer = web.StreamResponse()
        await answer.prepare(request)
        if seen < self.oldest:
            event = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}
            await answer.write(json.dumps(event).encode() + b"\n")
            return answer
        task = asyncio.ensure_future(self._follow(request.path, seen, answer))
        self._watches.add(task)
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await task
        self._watches.discard(task)
        if request.transport is not None and not self.brief:
            request.transport.abort()
        return answer

    async def _follow(self, path: str, seen: int, answer: web.StreamResponse) -> None:
        while True:
            latest = self.version
            for version, where, kind, body in list(self.changes):
                if version > seen and where == path:
                    await answer.write(json.dumps({"type": kind, "object": body}).encode() + b"\n")
            seen = max(seen, latest)  # versions may grow without a change
            if self.brief:
                return
            async with self.changed:
                while self.version <= seen:
                    await self.changed.wait()


@asynccontextmanager
async def connected(api: FakeApi, folder: Path) -> AsyncIterator[Connection]:
    """Serves the API and yields a connection that a kubeconfig file configures."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    file = folder / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {"token": "a-token"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "worlds"}}],
                "current-context": "x",
            }
        )
    )
    connection = await Connection.open(file)
    try:
        yield connection
    finally:
        await connection.close()
        api.hung = False
        api.cut()
        await runner.cleanup()
