"""The status of a whole world, as `pairsim status --json` shows it."""

from __future__ import annotations

import msgspec

from pairsim.model.geometry import Box


class ReplicaPicture(msgspec.Struct, frozen=True):
    """One replica.

    Attributes:
        tick: The newest committed tick that it knows, as it said within the last second or so.
        lag_ticks: How far its state is behind the newest committed tick of the area.
        divergences: How often it came to another state than the active since its start: its simulator's step is not
            deterministic, or its machine is at fault.
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


class ProcessPicture(msgspec.Struct, frozen=True):
    """A witness or a spare.

    Attributes:
        pid: None while it does not run, and of a pod.
        name: Empty for the witness of an area that has none yet.
    """

    url: str
    pid: int | None
    name: str = ""


class ProcessSeen(msgspec.Struct, frozen=True):
    """One process.

    Attributes:
        process: Its name.
        kind: `simulator` or `witness`.
        plane, area, role: What it is labelled as; empty for a witness.
        pid: None while it does not run.
        network: The network namespace of its own; empty if it has none.
        folder: What it has on disk.
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


class AreaPicture(msgspec.Struct, frozen=True):
    """One area.

    Attributes:
        redundant: It goes on after the loss of any one of its members.
        missing: Why it is not redundant; empty if it is.
        pace: The share of its tick rate that it kept over the last seconds, as its active says; 1.0 if it keeps up.
        slow: What to say of that, and why it is so; empty if it keeps up.
    """

    area: str
    plane: str
    bounds: Box
    redundant: bool
    generation: int
    replicas: list[ReplicaPicture]
    witness: ProcessPicture
    missing: str = ""
    pace: float = 1.0
    slow: str = ""


class WorldPicture(msgspec.Struct, frozen=True):
    """All of it."""

    areas: list[AreaPicture]
    spares: list[ProcessPicture]
