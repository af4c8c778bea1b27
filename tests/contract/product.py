"""One of the few places where the guard touches the product: its documents and servers.

Who moves or renames something in the product changes `product*.py`, and no golden file: the other modules of the guard
know only names of these.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, cast

import msgspec
from aiohttp import web

from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority, WorldMap
from pairsim.model.commands import Command
from pairsim.model.documents.manifests import Area, Plane
from pairsim.model.status import ReplicaStatus, Role, WitnessStatus
from pairsim.model.world_status import LocalProcessStatus, WorldStatus
from pairsim.protocol.frames import (
    CommandAnswer,
    CommandBatch,
    DigestsAnswer,
    EntitiesAnswer,
    EntityAnswer,
    Failure,
    Frame,
    SessionAnswer,
    SessionBatch,
    SwitchoverAnswer,
)
from pairsim.replication.service import RefusedError
from pairsim.server.http.listener import serve_app
from pairsim.server.witness_app import witness_app
from pairsim.settings import ProcessSettings, Timing
from pairsim_chaos.run.verdict_server import VerdictServer
from pairsim_chaos.target import Target as ChaosTarget
from pairsim_chaos.verdict.checks import Verdict
from pairsim_chaos.verdict.report import as_json, as_junit
from pairsim_controller.cli.cluster_console import console_app
from pairsim_controller.cli.main import probes
from pairsim_controller.console.sampling import Sample
from pairsim_controller.kube.api.objects import AreaObject, AreaStatus, PlaneStatus, StoredAssignment, body_of
from pairsim_controller.kube.manager import Manager, new_secret
from pairsim_controller.kube.metrics import ControllerMetrics as ControllerMeters
from pairsim_controller.kube.owned_objects import owned_objects
from pairsim_controller.local.api import AreaAction, world_app
from pairsim_controller.local.process import ProcessSpec
from pairsim_controller.local.processes_api import EndProcessRequest, SignalEngineRequest, StartProcessRequest
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.plan.authority import MapRecord
from pairsim_controller.story.entry import HistoryEntry
from pairsim_controller.story.history import History
from tests.contract.examples import AUTHORITY
from tests.unit.controller.local_worlds import local_world, until
from tests.unit.manifests.rendered import build as kustomized
from tests.unit.monitoring.exposed import GROUP, everything
from tests.unit.server.fakes import TOKEN, FakeReplica, FakeWitness
from tests.unit.server.http_servers import api_of

__all__ = ["TOKEN", "kustomized", "local_world", "new_secret", "until", "world_app"]

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "manifests"
PACKAGES = ("pairsim", "pairsim_controller", "pairsim_chaos")
"""The importable packages of the product."""

FOLDERS = ("pairsim", "controller", "chaos")
"""Where the product's code is."""

JSON_DOCUMENTS: dict[str, object] = {
    "world file: Plane": Plane,
    "world file: Area": Area,
    "status of a simulator": ReplicaStatus,
    "status of a witness": WitnessStatus,
    "assignment": Assignment,
    "authority": Authority,
    "maps of a world": WorldMap,
    "records in maps.json": dict[str, MapRecord],
    "commands": CommandBatch,
    "answer to commands": CommandAnswer,
    "entity": EntityAnswer,
    "entities": EntitiesAnswer,
    "digests": DigestsAnswer,
    "switchover": SwitchoverAnswer,
    "error": Failure,
    "world as `pairsim status --json` shows it": WorldStatus,
    "process of a local world": LocalProcessStatus,
    "order to kill or to switch over": AreaAction,
    "order to end a process": EndProcessRequest,
    "order to start a process": StartProcessRequest,
    "order to signal an engine": SignalEngineRequest,
    "console: event": HistoryEntry,
    "console: sample": Sample,
    "line of a backup": Command,
    "status of an Area": AreaStatus,
    "assignment in the status of an Area": StoredAssignment,
    "status of a Plane": PlaneStatus,
    "slot in pool.json": ProcessSpec,
}
"""Types of documents, by what users call them."""

MESSAGEPACK_DOCUMENTS: dict[str, object] = {
    "session: batch": SessionBatch,
    "session: answer": SessionAnswer,
    "observe: frame": Frame,
}

SETTINGS: dict[str, type[msgspec.Struct]] = {"process": ProcessSettings, "timing": Timing}

ROLES = {role.value: role for role in Role}


def area_status_body(document: dict[str, object]) -> dict[str, object]:
    """Returns the status of an Area as it is sent to the API server."""
    return body_of(msgspec.convert(document, AreaStatus))


def area_belongings(document: dict[str, object]) -> Iterable[dict[str, object]]:
    """Returns the objects that the controller makes for an Area."""
    return owned_objects(msgspec.convert(document, AreaObject))


def verdict_json(documents: list[dict[str, object]]) -> bytes:
    """Returns verdicts of chaos experiments as the JSON file has them."""
    return as_json(msgspec.convert(documents, list[Verdict]))


def verdict_junit(documents: list[dict[str, object]]) -> bytes:
    """Returns verdicts of chaos experiments as the JUnit file has them."""
    return as_junit(msgspec.convert(documents, list[Verdict]))


async def metrics(folder: Path) -> dict[str, dict[str, tuple[str, list[str]]]]:
    """Returns the metrics of each kind of process: by name, their type and their labels."""
    told = await everything(folder)
    return {process: {one.name: (one.kind, sorted(one.labels)) for one in all_} for process, all_ in told.items()}


# --- servers


@contextlib.asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """Serves an application as a process does, and yields its URL."""
    async with serve_app(app, "127.0.0.1:0", drain=0.1) as number:
        yield f"http://127.0.0.1:{number}"


def simulator(role: str = "active", change: Callable[[FakeReplica], None] = lambda _port: None) -> web.Application:
    """Returns the HTTP application of a simulator with two entities; make it in a loop."""
    port = FakeReplica(role=ROLES[role])
    port.spawn(1, [[0.1, 0.2, 0.3], [0.5, 0.5, 0.5]])
    port.known_map = msgspec.convert(AUTHORITY, Authority)
    change(port)
    return api_of(port, hold=0.01).app()


def full(port: FakeReplica) -> None:
    """Makes an active whose inbox is full."""
    port.full = True


def interrupted(port: FakeReplica) -> None:
    """Makes an active that loses its leadership before any batch is committed."""
    port.commit = port.interrupt  # type: ignore[method-assign]


def broken(port: FakeReplica) -> None:
    """Makes an active that fails at every request."""
    port.broken = True


def refusing(port: FakeReplica) -> None:
    """Makes a replica that refuses every order."""
    port.refuse = RefusedError("no")


class Observed(NamedTuple):
    """A simulator with two entities, and how to change what it simulates."""

    app: web.Application
    change: Callable[[], None]
    move: Callable[[], None]


def observed() -> Observed:
    """Returns a simulator that changes when it is told to: one of each, entering, moving and leaving, or its area."""
    port = FakeReplica()
    port.spawn(1, [[0.1, 0.2, 0.3], [0.5, 0.5, 0.5]])

    def change() -> None:
        position = port.table.column("position")
        position[0], position[1] = [0.2, 0.2, 0.2], [9.0, 9.0, 9.0]
        port.spawn(3, [[0.3, 0.3, 0.3]])
        port.publish()

    return Observed(api_of(port, hold=0.01).app(), change, lambda: port.move("west"))


def witness() -> web.Application:
    """Returns the HTTP application of a witness; make it in a loop."""
    port = FakeWitness()
    port.become(GROUP)
    return witness_app(port, TOKEN)


def controller(*, ready: bool) -> web.Application:
    """Returns the controller's server of probes and metrics."""
    return probes(cast("Manager", SimpleNamespace(ready=ready, cluster=None)), ControllerMeters())


def controller_console() -> web.Application:
    """Returns the console of a controller that waits for the Lease."""
    return console_app(cast("Manager", SimpleNamespace(cluster=None, history=History())))


def local_service(world: LocalWorld) -> web.Application:
    """Returns what `pairsim up` serves."""
    return world_app(world)


def verdict_service() -> web.Application:
    """Returns what `pairsim-chaos probe` serves, before anything was looked at."""
    server = VerdictServer(cast("ChaosTarget", None))

    async def idle() -> None: ...

    server._run = idle  # type: ignore[method-assign]
    return server.app()
