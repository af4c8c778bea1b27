"""The status of a whole world, as `pairsim status --json` shows it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pairsim.model.crossings.border_status import BorderStatus
from pairsim.model.crossings.conservation import Balance
from pairsim.model.geometry import Box


class ReplicaRow(msgspec.Struct, frozen=True):
    """One replica of an area.

    Attributes:
        replica: The name of the process.
        role: The role that the process is labelled with.
        term: The Raft term.
        tick: The newest committed tick that the replica knows, as it reported within the last second or so.
        lag_ticks: How many ticks its state is behind the newest committed tick of the area.
        entities: The number of entities in its state.
        url: The base URL of its HTTP API.
        pid: The process id; None while the process does not run, and for a pod.
        divergences: How often its state differed from the active's since its start. A divergence means that the step of
            its simulator is not deterministic, or that its machine is faulty.
        outside: How many of its entities are at a position outside of the area's bounds.
    """

    replica: str
    role: str
    term: int
    tick: int
    lag_ticks: int
    entities: int
    url: str
    pid: int | None
    divergences: int = 0
    outside: int = 0


class ProcessRow(msgspec.Struct, frozen=True):
    """A witness or a spare.

    Attributes:
        url: The base URL of its HTTP API.
        pid: The process id; None while the process does not run, and for a pod.
        name: The name of the process; empty for the witness of an area that has not got one yet.
    """

    url: str
    pid: int | None
    name: str = ""


class LocalProcessStatus(msgspec.Struct, frozen=True):
    """One process of a local world.

    Attributes:
        process: The name of the process.
        kind: `simulator` or `witness`.
        plane, area, role: What the process is labelled with; empty for a witness.
        url: The base URL of its HTTP API.
        peer: The address of its port for Raft and the state stream, host:port.
        pid: The process id; None while the process does not run.
        network: The name of its own network namespace; empty if it shares the machine's.
        folder: The path of its data folder.
        engine_pid: The process id of its engine, as it reported within the last second or so; None without one.
    """

    process: str
    kind: str
    plane: str
    area: str
    role: str
    url: str
    peer: str
    pid: int | None
    network: str
    folder: str
    engine_pid: int | None = None


class AreaStatusView(msgspec.Struct, frozen=True):
    """One area with its members.

    Attributes:
        area, plane: The names of the area and of its plane.
        bounds: The box that the area has authority over, in metres.
        redundant: Whether the area survives the loss of any one of its members.
        generation: The number of its Raft group.
        replicas: The replicas that can be reached.
        witness: Its witness.
        missing: Why the area is not redundant; empty if it is.
        pace: The share of its tick rate that it kept over the last seconds, as its active reports; 1.0 if it keeps up.
        slow: A sentence that says how slow the area is and why; empty if it keeps up.
        tick_ms: Milliseconds per tick over the last seconds, as its active reports; 0 until that is known.
        number: The number of the area; 0 while it has no cell.
        version: The version of the map of its plane that the area knows.
        borders: What crosses its borders, as its active reports, without marks; None without an active.
    """

    area: str
    plane: str
    bounds: Box
    redundant: bool
    generation: int
    replicas: list[ReplicaRow]
    witness: ProcessRow
    missing: str = ""
    pace: float = 1.0
    slow: str = ""
    tick_ms: float = 0.0
    number: int = 0
    version: int = 0
    borders: BorderStatus | None = None


class WorldStatus(msgspec.Struct, frozen=True):
    """All areas and spares of a world.

    Attributes:
        areas: The areas.
        spares: The processes without an area.
        balances: Of each plane, whether all entities are accounted for; a plane is missing while that is not known.
    """

    areas: list[AreaStatusView]
    spares: list[ProcessRow]
    balances: list[Balance] = []


def unknown_area_message(area: str, known: Iterable[str], world: str = "this world") -> str:
    """Returns the sentence for an area that the world does not have; `known` are the names of its areas."""
    return f"the area {area!r} is unknown: {world} has {', '.join(known)}"
