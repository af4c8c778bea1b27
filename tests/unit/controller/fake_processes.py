"""Processes that answer as simulators and witnesses do, without any replication behind them.

They are one world in one process: assignments that have reached all members begin an area, the active seals the next
generation when its newcomer is there, and a test says who dies, hangs and takes over.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import msgspec
from aiohttp import web

from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.model.status import ReplicaStatus, Role, Succession, WitnessGroup, WitnessStatus

TOKEN = "token"


class FakeProcess:
    """A fake simulator or witness."""

    def __init__(self, world: FakeProcesses, name: str) -> None:
        self.world, self.name = world, name
        self.has: dict[str, Assignment] = {}
        self.terms: dict[str, int] = {}
        self.says: ReplicaStatus | None = None
        self.port = 0
        self.orders: list[tuple[str, str]] = []
        self._sockets: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None

    @property
    def witness(self) -> bool:
        return self.name.startswith("witness")

    def status(self) -> ReplicaStatus | WitnessStatus:
        if self.says is not None:
            return self.says
        if self.witness:
            return WitnessStatus(
                replica=self.name, started_at=0, pid=1, peer="", areas=tuple(map(self._group, self.has.values()))
            )
        area, mine = next(iter(self.has.items()), ("", None))
        active = self.world.actives.get(area)
        role = Role.SPARE if mine is None else Role.JOINING if area not in self.terms else Role.PASSIVE
        if mine is not None and active == self.name:
            role = Role.ACTIVE
        term = self.terms.get(area, 0)
        return ReplicaStatus(
            plane="physics" if mine else "", area=area, replica=self.name, role=role,
            generation=mine.generation if mine else 0, term=term,
            version=self.world.known(area).version if mine else 0, tick=100 * term, synced_tick=100 * term,
            digest="", entities=7 if mine else 0, leader=active,
            members=tuple(m.replica for m in mine.members()) if mine else (),
            in_sync=role in {Role.ACTIVE, Role.PASSIVE},
            peer_in_sync=role is Role.ACTIVE and self.world.whole(area),
            started_at=0, pid=1, peer="",
            succession=self.world.successions.get(area) if role is Role.ACTIVE else None,
        )  # fmt: skip

    def _group(self, mine: Assignment) -> WitnessGroup:
        term = self.terms.get(mine.spec.area, 0)
        return WitnessGroup(
            area=mine.spec.area, generation=mine.generation, term=term, tick=100 * term, leader=None,
            members=tuple(m.replica for m in mine.members()),
        )  # fmt: skip

    async def start(self) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1/watch", self._watch),
                web.put("/v1/assignment", self._assign),
                web.delete("/v1/assignment", self._release),
                web.put("/v1/authority", self._authorise),
                web.post("/v1/switchover", self._switchover),
                web.get("/v1/skip", self._failing_tick),
                web.post("/v1/skip", self._skip),
                web.post("/v1/engines/restart", self._skip),
                web.get("/v1/backup", self._backup),
            ]
        )
        self._runner = web.AppRunner(app, shutdown_timeout=0.01)
        await self._runner.setup()
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            self.port = listener.getsockname()[1]
            site = web.SockSite(self._runner, listener.dup())
            await site.start()

    async def stop(self) -> None:
        """Stops as a killed process does."""
        runner, self._runner = self._runner, None
        for open_ in list(self._sockets):
            transport = open_._req.transport if open_._req is not None else None
            if transport is not None:
                transport.abort()
        if runner is not None:
            await runner.cleanup()

    def push(self) -> None:
        """Sends the present status to all watchers."""
        text = msgspec.json.encode(self.status()).decode()
        for open_ in list(self._sockets):
            self.world.spawn(self._send(open_, text))

    async def _send(self, open_: web.WebSocketResponse, text: str) -> None:
        if not open_.closed and not self.world.hung(self.name):
            try:
                await open_.send_str(text)
            except (ConnectionError, RuntimeError):
                self._sockets.discard(open_)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        answer = web.WebSocketResponse()
        await answer.prepare(request)
        self._sockets.add(answer)
        try:
            while not answer.closed:
                await self._send(answer, msgspec.json.encode(self.status()).decode())
                try:
                    async with asyncio.timeout(1.0):
                        await answer.receive()
                    break
                except TimeoutError:
                    continue
        finally:
            self._sockets.discard(answer)
        return answer

    def _admit(self, request: web.Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise web.HTTPForbidden

    async def _order(self, request: web.Request, what: str, area: str) -> None:
        self._admit(request)
        self.orders.append((what, area))
        if self.world.hung(self.name):
            await asyncio.sleep(3600)

    async def _assign(self, request: web.Request) -> web.Response:
        assignment = msgspec.json.decode(await request.read(), type=Assignment)
        await self._order(request, "assign", assignment.spec.area)
        self.world.assign(self, assignment)
        return web.Response(status=204)

    async def _authorise(self, request: web.Request) -> web.Response:
        authority = msgspec.json.decode(await request.read(), type=Authority)
        self._admit(request)
        if self.world.actives.get(authority.area) != self.name:
            return web.json_response({"error": "not the active"}, status=421)
        if authority.version < self.world.known(authority.area).version:
            return web.json_response({"error": "it is over"}, status=409)
        self.world.granted.append(authority)
        for member in self.has[authority.area].replicas:
            self.world.fakes[member.replica].push()
        return web.Response(status=204)

    async def _release(self, request: web.Request) -> web.Response:
        area = request.query["area"]
        await self._order(request, "release", area)
        self.has.pop(area, None)
        self.terms.pop(area, None)
        if self.world.actives.get(area) == self.name:
            del self.world.actives[area]
        self.push()
        return web.Response(status=204)

    async def _backup(self, request: web.Request) -> web.Response:
        await self._order(request, "backup", request.query["area"])
        return web.Response(body=b"all of it", headers={"Pairsim-Tick": "5", "Pairsim-Entities": "7"})

    async def _failing_tick(self, _request: web.Request) -> web.Response:
        return web.json_response({"tick": 8, "commands": [{"id": "c1", "op": "set", "entity": 1}]})

    async def _skip(self, request: web.Request) -> web.Response:
        area = next(iter(self.has), "")
        await self._order(request, "skip", area)
        return web.json_response({"tick": 7, "term": self.terms[area], "revision": 1})

    async def _switchover(self, request: web.Request) -> web.Response:
        area = next(iter(self.has), "")
        await self._order(request, "switchover", area)
        other = next(m.replica for m in self.has[area].replicas if m.replica != self.name)
        self.world.lead(area, other)
        return web.json_response({"gap_ms": 1.0, "term": self.terms[area]})


class FakeProcesses:
    """All fake processes of a world, and what they know together."""

    def __init__(self) -> None:
        self.fakes: dict[str, FakeProcess] = {}
        self.actives: dict[str, str] = {}
        self.successions: dict[str, Succession] = {}
        self.granted: list[Authority] = []
        self._hung: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def add(self, name: str) -> FakeProcess:
        fake = self.fakes[name] = FakeProcess(self, name)
        await fake.start()
        return fake

    async def close(self) -> None:
        await asyncio.gather(*(fake.stop() for fake in self.fakes.values()))
        for task in list(self._tasks):
            task.cancel()

    def known(self, area: str) -> Authority:
        """Returns the newest grant of an area, which its replicas share."""
        granted = [authority for authority in self.granted if authority.area == area]
        return granted[-1] if granted else Authority.before_grants(area)

    def hang(self, name: str, hung: bool = True) -> None:
        (self._hung.add if hung else self._hung.discard)(name)

    def hung(self, name: str) -> bool:
        return name in self._hung

    def whole(self, area: str) -> bool:
        active = self.fakes.get(self.actives.get(area, ""))
        if active is None or area not in active.has:
            return False
        members = [self.fakes.get(m.replica) for m in active.has[area].members()]
        return all(f is not None and f._runner is not None and area in f.terms for f in members)

    def lead(self, area: str, name: str) -> None:
        """Makes a replica the active of the next term, among the members that run."""
        mine = self.fakes[name].has[area]
        term = max(fake.terms.get(area, 0) for fake in self.fakes.values()) + 1
        before = self.fakes.get(self.actives.get(area, ""))
        self.actives[area] = name
        if before is not None:
            runs = before._runner is not None
            self.successions[area] = Succession.HANDED_OVER if runs else Succession.CLOSED
        for m in mine.members():
            fake = self.fakes[m.replica]
            if fake._runner is not None:
                fake.terms[area] = term
        if before is not None:
            before.push()
        for m in mine.members():
            self.fakes[m.replica].push()

    def assign(self, fake: FakeProcess, told: Assignment) -> None:
        area, mine = told.spec.area, fake.has.get(told.spec.area)
        if mine is None and (fake.witness or not fake.has):
            fake.has[area] = told
        elif mine is not None and self.actives.get(area) == fake.name and told.generation == mine.generation + 1:
            self._seal(mine, told)
        members = [f for m in told.members() if (f := self.fakes.get(m.replica)) is not None]
        everywhere = len(members) == 3 and all(f.has.get(area) == told for f in members)
        if told.generation == 1 and area not in self.actives and everywhere:
            self.lead(area, told.replicas[0].replica)
        fake.push()

    def _seal(self, old: Assignment, new: Assignment) -> None:
        area = new.spec.area
        if not all(area in self.fakes[name].has for name in new.joins):
            return
        term = self.fakes[self.actives[area]].terms[area]
        for m in new.members():
            self.fakes[m.replica].has[area] = new
            self.fakes[m.replica].terms[area] = term
        for m in old.members():
            if new.member(m.replica) is None and m.replica in self.fakes:
                self.fakes[m.replica].has.pop(area, None)
                self.fakes[m.replica].terms.pop(area, None)
                self.fakes[m.replica].push()
        for m in new.members():
            self.fakes[m.replica].push()
