"""Processes that answer as simulators and witnesses do, all of them behind one socket.

Each has an address of its own in 127.0.0.0/8 and is told from the others by the address that was called. Streams are
served by the product's own code, so that the controller gets what it gets from real processes, as often and as large.
There is no replication behind them: an area begins when its three members have heard of it, and the test says who is
lost and who leads.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time

import msgspec
from aiohttp import web

from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.model.status import ReplicaStatus, Role, WitnessGroup, WitnessStatus
from pairsim.server.control.watch import WatchHandler
from pairsim.server.notifications import Signal

_FIRST = ipaddress.IPv4Address("127.64.0.1")
_TICK_RATE = 20.0


class Fake:
    """One process."""

    def __init__(self, world: Fakes, name: str, address: str, *, witness: bool) -> None:
        self.name, self.address, self.witness = name, address, witness
        self.has: dict[str, Assignment] = {}
        self.dead = False
        self.open: set[web.Request] = set()
        self._world, self._changes = world, Signal()
        self._watch: WatchHandler[ReplicaStatus | WitnessStatus] = WatchHandler(
            self._group_status if witness else self._status,
            self._changes,
            world.token,
        )

    def push(self) -> None:
        """Reports a change to the watchers."""
        self._changes.notify()

    async def watched(self, request: web.Request) -> web.StreamResponse:
        """Sends statuses until the watcher disconnects."""
        self.open.add(request)
        try:
            return await self._watch.handle(request)
        finally:
            self.open.discard(request)

    def die(self) -> None:
        """Breaks its connections and stops answering."""
        self.dead = True
        for request in self.open:
            if request.transport is not None:
                request.transport.abort()

    def _status(self) -> ReplicaStatus:
        area, mine = next(iter(self.has.items()), ("", None))
        term, active = self._world.leads.get(area, (0, ""))
        role = Role.SPARE if mine is None else Role.JOINING if not term else Role.PASSIVE
        if mine is not None and active == self.name:
            role = Role.ACTIVE
        tick = self._world.tick() if term else 0
        return ReplicaStatus(
            plane=mine.spec.plane if mine else "", area=area, replica=self.name, role=role,
            generation=mine.generation if mine else 0, term=term,
            version=self._world.versions.get(area, 0), tick=tick, synced_tick=tick,
            digest="0123456789abcdef", entities=500 if mine else 0, leader=active or None,
            members=tuple(m.replica for m in mine.members()) if mine else (),
            in_sync=role in {Role.ACTIVE, Role.PASSIVE},
            peer_in_sync=role is Role.ACTIVE and self._world.whole(area),
            started_at=0, pid=1, peer=f"{self.address}:7946",
        )  # fmt: skip

    def _group_status(self) -> WitnessStatus:
        groups = tuple(self._group(area, mine) for area, mine in self.has.items())
        return WitnessStatus(replica=self.name, started_at=0, pid=1, peer=f"{self.address}:7946", areas=groups)

    def _group(self, area: str, mine: Assignment) -> WitnessGroup:
        term, active = self._world.leads.get(area, (0, ""))
        members = tuple(m.replica for m in mine.members())
        tick = self._world.tick() if term else 0
        return WitnessGroup(
            area=area, generation=mine.generation, term=term, tick=tick, leader=active or None, members=members
        )


class Fakes:
    """All of them; one event loop."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.port = 0
        self.named: dict[str, Fake] = {}
        self.leads: dict[str, tuple[int, str]] = {}
        self.versions: dict[str, int] = {}
        self._called: dict[str, Fake] = {}
        self._began = time.monotonic()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1/watch", self._watch),
                web.put("/v1/assignment", self._assign),
                web.put("/v1/authority", self._authorise),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")  # all addresses, but of loopback only
        listener.bind(("0.0.0.0", 0))
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener, backlog=4096).start()

    async def close(self) -> None:
        for fake in self.named.values():
            fake.die()
        if self._runner is not None:
            await self._runner.cleanup()

    def add(self, name: str, *, witness: bool) -> Fake:
        """A process at an address of its own."""
        fake = Fake(self, name, str(_FIRST + len(self.named)), witness=witness)
        self.named[name] = self._called[fake.address] = fake
        return fake

    def tick(self) -> int:
        """Every area's."""
        return 1 + int((time.monotonic() - self._began) * _TICK_RATE)

    def whole(self, area: str) -> bool:
        """Whether all of its members live."""
        _term, active = self.leads[area]
        return not any(self.named[m.replica].dead for m in self.named[active].has[area].members())

    def pair(self, area: str) -> tuple[str, str]:
        """The active, and the other one."""
        _term, active = self.leads[area]
        first, second = (m.replica for m in self.named[active].has[area].replicas)
        return (active, second) if active == first else (active, first)

    def lead(self, area: str, name: str) -> int:
        """It is the active from now on, in the next term, which is returned."""
        term = self.leads.get(area, (0, ""))[0] + 1
        self.leads[area] = term, name
        self._tell(area)
        return term

    def revive(self, area: str, name: str) -> None:
        """Restarts it with its folder; it follows the current leader."""
        self.named[name].dead = False
        self._tell(area)

    def _tell(self, area: str) -> None:
        for m in self.named[self.leads[area][1]].has[area].members():
            self.named[m.replica].push()

    # --- what the controller asks

    def _asked(self, request: web.Request) -> Fake:
        assert request.transport is not None
        fake = self._called.get(request.transport.get_extra_info("sockname")[0])
        if fake is None or fake.dead:
            request.transport.abort()
            raise web.HTTPServiceUnavailable
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            raise web.HTTPForbidden
        return fake

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        return await self._asked(request).watched(request)

    async def _authorise(self, request: web.Request) -> web.Response:
        self._asked(request)
        told = msgspec.json.decode(await request.read(), type=Authority)
        self.versions[told.area] = max(told.version, self.versions.get(told.area, 0))
        self._tell(told.area)
        return web.Response(status=204)

    async def _assign(self, request: web.Request) -> web.Response:
        fake = self._asked(request)
        told = msgspec.json.decode(await request.read(), type=Assignment)
        area = told.spec.area
        if not fake.witness and fake.has and area not in fake.has:
            return web.json_response({"error": f"it has {next(iter(fake.has))}", "unknown": False}, status=409)
        fake.has.setdefault(area, told)
        if area not in self.leads and all(area in self.named[m.replica].has for m in told.members()):
            self.lead(area, told.replicas[0].replica)
        else:
            fake.push()
        await asyncio.sleep(0)
        return web.Response(status=204)
