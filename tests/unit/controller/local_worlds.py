"""A local world whose processes are fakes behind real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.geometry import Box
from pairsim.model.status import ReplicaStatus, Role, Succession, WitnessGroup
from pairsim.server.http.listener import serve_app
from pairsim.server.witness_app import witness_app
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.local.process import ProcessSpec, Termination
from pairsim_controller.local.process_pool import ProcessPool
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.plan.view import Kind
from pairsim_controller.story.history import History
from tests.unit.server.fakes import TOKEN, FakeReplica, FakeWitness
from tests.unit.server.http_servers import api_of

DEADLINE = 30.0
BOX = Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
NORTH = AreaSpec(area="north", plane="physics", simulator="physics", bounds=BOX, world=BOX)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await asyncio.sleep(0.005)


class FakeSimulator(FakeReplica):
    """A simulator process whose status a test sets."""

    def __init__(self, name: str, role: Role = Role.SPARE) -> None:
        super().__init__(name, role)
        self.peer_synced, self.lag, self.divergences = True, 0, 0
        self.succession: Succession | None = None
        self.engine_pid: int | None = None

    def status(self) -> ReplicaStatus:
        return msgspec.structs.replace(
            super().status(),
            synced_tick=self.tick - self.lag,
            divergences=self.divergences,
            engine_pid=self.engine_pid,
            succession=self.succession if self.role is Role.ACTIVE else None,
            peer_in_sync=self.role is Role.ACTIVE and self.peer_synced,
            members=() if self.role is Role.SPARE else ("a", "b", "w"),
        )


class FakeLocalProcess:
    """A process of the pool."""

    def __init__(self, name: str, kind: Kind, number: int) -> None:
        self.spec = ProcessSpec(name, kind, number, number)
        self.url, self.peer = f"http://127.0.0.1:{number}", f"127.0.0.1:{1 + len(name)}"
        self.pid: int | None = number
        self.killed: list[int] = []
        self.restarts, self.failure, self.uptime = 0, "", 60.0
        self.network: Path | None = None
        self.folder = Path("/nowhere") / name
        self.endings: list[Termination] = []

    def terminate(self, termination: Termination = Termination()) -> int | None:  # noqa: B008 - as in the pool
        if self.pid is not None:
            self.killed.append(self.pid)
            self.endings.append(termination)
        return self.pid

    def restart_now(self) -> int | None:
        return None if self.endings else self.pid


class WorldHarness:
    """Replicas a, b and c, the witness w, and the local world that controls them."""

    def __init__(self, folder: DataFolder, areas: tuple[AreaSpec, ...]) -> None:
        self.replicas = {name: FakeSimulator(name) for name in ("a", "b", "c")}
        self.witness = FakeWitness()
        self.places: dict[str, FakeLocalProcess] = {}
        self.announced: list[str] = []
        self.folder, self.areas = folder, areas
        self.world: LocalWorld = cast("LocalWorld", None)

    def member(self, name: str) -> Member:
        return Member(replica=name, peer=f"127.0.0.1:{ord(name)}", url=self.places[name].url)

    def assignment(self, generation: int = 1) -> Assignment:
        return Assignment(
            spec=NORTH, generation=generation, replicas=(self.member("a"), self.member("b")), witness=self.member("w")
        )

    def working(self) -> None:
        """Makes the area run: a is active, b passive, w its witness."""
        self.folder.write_assignments({"north": self.assignment()})
        self.replicas["a"].become(Role.ACTIVE)
        self.replicas["b"].become(Role.PASSIVE)
        self.witness.become(group())

    def run(self, *, warm_engines: bool = False) -> None:
        """Starts the world from the records in the folder."""
        pool = cast("ProcessPool", SimpleNamespace(processes=self.places))
        history = History()
        history.readers.append(lambda entry: self.announced.append(entry.line))
        self.world = LocalWorld(self.areas, pool, self.folder, history, warm_engines=warm_engines)
        self.task = asyncio.create_task(self.world.run())

    async def known(self) -> None:
        """Waits until the world has the status of every process."""
        await until(lambda: all(n in self.world.watchers and self.world.watchers[n].status for n in self.places))

    async def close(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


def group(generation: int = 1, term: int = 1) -> WitnessGroup:
    return WitnessGroup(
        area="north", generation=generation, term=term, tick=10, leader="a", members=("a", "b", "w")
    )  # fmt: skip


@contextlib.asynccontextmanager
async def local_world(
    path: Path, *, areas: tuple[AreaSpec, ...] = (NORTH,), working: bool = True, warm_engines: bool = False
) -> AsyncIterator[WorldHarness]:
    """Yields a world with one running area; if `working` is false, all processes are spares."""
    (path / "token").write_text(TOKEN)
    made = WorldHarness(DataFolder(path), areas)
    async with contextlib.AsyncExitStack() as stack:
        for name, replica in made.replicas.items():
            number = await stack.enter_async_context(serve_app(api_of(replica).app(), "127.0.0.1:0", drain=0.1))
            made.places[name] = FakeLocalProcess(name, Kind.SIMULATOR, number)
        number = await stack.enter_async_context(serve_app(witness_app(made.witness, TOKEN), "127.0.0.1:0", drain=0.1))
        made.places["w"] = FakeLocalProcess("w", Kind.WITNESS, number)
        for name, place in made.places.items():
            place.peer = f"127.0.0.1:{ord(name)}"
        if working:
            made.working()
        made.run(warm_engines=warm_engines)
        try:
            yield made
        finally:
            await made.close()
