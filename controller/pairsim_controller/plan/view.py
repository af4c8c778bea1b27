"""What the controller sees, and what it may do: plain data, the same for local processes and for pods."""

from __future__ import annotations

import enum

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role, WitnessStatus


class Kind(enum.StrEnum):
    """What a process was started as."""

    SIMULATOR = "simulator"
    WITNESS = "witness"


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A simulator or witness process.

    Attributes:
        name: Unique in the world.
        kind: What it is.
        peer, url: Where it listens.
        alive: Whether the backend (operating system, Kubernetes) says that it runs.
        leaving: Whether the backend says that it will end soon; it works until then.
        node: The machine that it runs on; empty if that is not known.
        status: What it last said of itself; None while it cannot be reached. Of a witness: as far as it concerns the
            area that is looked at.
        silent: Seconds since it last said anything; 0 if it just did.
    """

    name: str
    kind: Kind
    peer: str
    url: str
    alive: bool
    leaving: bool = False
    node: str = ""
    status: ReplicaStatus | WitnessStatus | None = None
    silent: float = 0.0

    @property
    def leaves(self) -> bool:
        """Whether it will end soon, by the backend's word or by its own (a container may end, and its pod stay)."""
        return self.leaving or (self.status is not None and self.status.leaving)

    @property
    def replica(self) -> ReplicaStatus | None:
        """Its status, if it is a simulator that can be reached."""
        return self.status if self.alive and isinstance(self.status, ReplicaStatus) else None

    @property
    def witness(self) -> WitnessStatus | None:
        """Its status, if it is a witness that can be reached."""
        return self.status if self.alive and isinstance(self.status, WitnessStatus) else None


class Label(msgspec.Struct, frozen=True):
    """What a replica is labelled as, and the term it was in."""

    area: str
    role: Role
    term: int


class View(msgspec.Struct, frozen=True, kw_only=True):
    """One look at one area.

    Attributes:
        area: Its name.
        spec: What is wanted; None for an area that is not wanted (any more).
        recorded: The newest assignment that was decided for it; written down before it is sent.
        processes: By name: members, whoever has the area, and whoever is labelled with it.
        spares: Some that may become members, more than enough for one decision; none of them is promised to anybody.
        witnesses: Those that may become members.
        load: How many areas a witness is a member of.
        labels: By replica, of those in `processes`.
        paused: Whether nothing is to be done beside labels.
        unsaved: Whether its state is to be backed up before it is let go.
        obstacle: A sentence why it cannot be what is wanted; then it is left as it is. Empty if nothing is in the way.
    """

    area: str
    spec: AreaSpec | None
    recorded: Assignment | None
    processes: dict[str, Process]
    spares: tuple[Process, ...]
    witnesses: tuple[Process, ...]
    load: dict[str, int]
    labels: dict[str, Label]
    paused: bool = False
    obstacle: str = ""
    unsaved: bool = False

    @property
    def statuses(self) -> dict[str, ReplicaStatus | WitnessStatus]:
        """What those said that can be reached, by their names."""
        return {name: p.status for name, p in self.processes.items() if p.alive and p.status is not None}


class Assign(msgspec.Struct, frozen=True, tag=True):
    """Record the assignment, then send it to these processes."""

    assignment: Assignment
    targets: tuple[str, ...]


class Remind(msgspec.Struct, frozen=True, tag=True):
    """Send processes what is in force; nothing is recorded."""

    assignment: Assignment
    targets: tuple[str, ...]


class Adopt(msgspec.Struct, frozen=True, tag=True):
    """Record what the members say is in force."""

    assignment: Assignment


class Release(msgspec.Struct, frozen=True, tag=True):
    """Make a process leave an area."""

    target: str
    area: str


class BackUp(msgspec.Struct, frozen=True, tag=True):
    """Keep the state that an active has of an area which is not wanted any more."""

    target: str
    area: str


class Switchover(msgspec.Struct, frozen=True, tag=True):
    """Make an active hand over to its passive."""

    target: str
    area: str


class Forget(msgspec.Struct, frozen=True, tag=True):
    """Drop the record of an area that is not wanted and that nobody has any more."""

    area: str


class SetLabel(msgspec.Struct, frozen=True, tag=True):
    """Label a replica."""

    replica: str
    label: Label


class Say(msgspec.Struct, frozen=True, tag=True):
    """Tell the operator what is wrong and waits for somebody.

    Attributes:
        area: What it is about.
        sentence: What is wrong.
        wants: The kind of process that would help; None if more of them would not.
        reason: What is wrong in one word, if the sentence has numbers that change while it is; else empty.
    """

    area: str
    sentence: str
    wants: Kind | None = None
    reason: str = ""


Action = Assign | Remind | Adopt | Release | BackUp | Switchover | Forget | SetLabel | Say
