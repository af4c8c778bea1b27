"""The input and the output of planning: a view of one area, and the actions that change it.

Both are plain data, and the same for local processes and for pods. A view is made anew for every round; an action
names what has to happen, and the adapters know how.
"""

from __future__ import annotations

import enum

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase, WitnessStatus

START_SECONDS = 30.0
"""How long a process may load its code on a busy machine before it sends its first status."""


class Kind(enum.StrEnum):
    """The role that a process was started in; it never changes."""

    SIMULATOR = "simulator"
    WITNESS = "witness"


class ObservedProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A simulator or witness process, as its backend and the process itself describe it.

    Attributes:
        name: Unique in the world.
        kind: Simulator or witness.
        peer, url: The addresses that it listens at.
        alive: Whether the backend (operating system, Kubernetes) says that the process runs.
        terminating: Whether the backend says that the process will end soon; it works until then.
        node: The machine that it runs on; empty if unknown.
        starts: A number that the backend raises when it starts the process again after an end.
        status: The last status that the process sent; None while the process cannot be reached. The status of a witness
            holds only the area of the view.
        silent_seconds: Seconds since the last status; 0 while the process can be reached.
        note: What the backend knows about a process that starts or has ended lately, to follow its name: "is starting",
            "ended with exit code 70 (...)"; empty if it knows nothing of interest.
        starting: Whether the process has not been heard since the backend started it; on a busy machine a process
            loads its code for many seconds.
        restarted: Whether the process that sent the last status has ended, and the one that was started in its place
            has not been heard yet.
        stalled_seconds: Seconds for which a replica has made no progress (see `plan.progress`).
        working_seconds: Seconds for which a replica has made progress without a pause; 0 while it makes none.
        stalled_before: Whether the process was replaced in an area because it made no progress there.
    """

    name: str
    kind: Kind
    peer: str
    url: str
    alive: bool
    terminating: bool = False
    node: str = ""
    starts: int = 0
    status: ReplicaStatus | WitnessStatus | None = None
    silent_seconds: float = 0.0
    note: str = ""
    starting: bool = False
    restarted: bool = False
    stalled_seconds: float = 0.0
    working_seconds: float = 0.0
    stalled_before: bool = False

    @property
    def leaving(self) -> bool:
        """Whether the backend or the process says that it will end soon (a container may end while its pod stays)."""
        return self.terminating or (self.status is not None and self.status.leaving)

    @property
    def reachable(self) -> bool:
        """Whether the process runs and can be asked."""
        return self.alive and self.status is not None

    @property
    def busy_starting(self) -> bool:
        """Whether it has just been started, or compiles the simulator of an area: it cannot answer requests yet."""
        if not self.alive:
            return False
        if self.status is None:
            return self.silent_seconds < START_SECONDS
        simulator = self.status.simulator if isinstance(self.status, ReplicaStatus) else None
        return simulator is not None and simulator.phase is SimulatorPhase.COMPILING

    @property
    def replica(self) -> ReplicaStatus | None:
        """The status of a simulator that can be reached, else None."""
        return self.status if self.alive and isinstance(self.status, ReplicaStatus) else None

    @property
    def witness(self) -> WitnessStatus | None:
        """The status of a witness that can be reached, else None."""
        return self.status if self.alive and isinstance(self.status, WitnessStatus) else None


class Label(msgspec.Struct, frozen=True):
    """The labels of a replica: its area (empty for a spare), its role, and the term in which it had that role."""

    area: str
    role: Role
    term: int


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that matters for one area at one moment.

    Attributes:
        area: The name of the area.
        spec: What the user wants; None for an area that should not exist (any more).
        recorded: The newest assignment that was decided; it is written down before it is sent.
        processes: By name: the members, all processes that hold the area, and all that are labelled with it.
        spares: Some spares that may become members, more than enough for one decision; none is promised to an area.
        witnesses: The witnesses that may become members.
        load: By witness: the number of areas that it is a member of.
        labels: By replica: the labels of those in `processes`.
        paused: Whether only labels may be changed.
        blocked_reason: A sentence that says why the spec cannot be fulfilled; the area is left as it is. Empty if
            nothing prevents it.
        backup_pending: Whether the state has to be backed up before a member is released.
        may_bootstrap: Whether a new area may be given to spares. False while processes that may hold an area have not
            been heard yet.
        stall_pause_seconds: Seconds until another replica may be replaced because it makes no progress.
        replaced_because: Why the recorded generation has another replica, as a sentence; empty if the reason is shown
            elsewhere.
        command_options: What a user adds to commands so that they reach this world, such as " --port 8081".
    """

    area: str
    spec: AreaSpec | None
    recorded: Assignment | None
    processes: dict[str, ObservedProcess]
    spares: tuple[ObservedProcess, ...]
    witnesses: tuple[ObservedProcess, ...]
    load: dict[str, int]
    labels: dict[str, Label]
    paused: bool = False
    blocked_reason: str = ""
    backup_pending: bool = False
    may_bootstrap: bool = True
    stall_pause_seconds: float = 0.0
    replaced_because: str = ""
    command_options: str = ""

    @property
    def statuses(self) -> dict[str, ReplicaStatus | WitnessStatus]:
        """The statuses of all processes that can be reached, by name."""
        return {name: p.status for name, p in self.processes.items() if p.alive and p.status is not None}

    @property
    def busy_starting(self) -> frozenset[str]:
        """The names of the processes that cannot answer requests yet."""
        seen = (*self.processes.values(), *self.spares, *self.witnesses)
        return frozenset(process.name for process in seen if process.busy_starting)

    @property
    def notes(self) -> dict[str, str]:
        """What the backend knows about members that start or have ended lately, by name."""
        members = self.recorded.members() if self.recorded is not None else ()
        return {m.replica: p.note for m in members if (p := self.processes.get(m.replica)) is not None and p.note}

    def with_record(self, recorded: Assignment | None, replaced_because: str = "") -> View:
        """Returns this view with another recorded assignment and the processes that it brings in."""
        if recorded == self.recorded:
            return self  # the reason came with the record
        names = {m.replica for m in recorded.members()} if recorded is not None else set()
        joining = {p.name: p for p in (*self.spares, *self.witnesses) if p.name in names}
        return msgspec.structs.replace(
            self, recorded=recorded, replaced_because=replaced_because, processes=joining | self.processes
        )


class Stall(msgspec.Struct, frozen=True):
    """A replica that runs and makes no progress; `message` is a sentence about it."""

    replica: str
    message: str


class Assign(msgspec.Struct, frozen=True, tag=True):
    """Record an assignment, then send it to the targets; `stall` is the reason if a stalled replica is replaced."""

    assignment: Assignment
    targets: tuple[str, ...]
    stall: Stall | None = None


class ResendAssignment(msgspec.Struct, frozen=True, tag=True):
    """Send the assignment in force to the targets again; the record stays as it is."""

    assignment: Assignment
    targets: tuple[str, ...]


class AdoptReported(msgspec.Struct, frozen=True, tag=True):
    """Record the assignment that the members report as in force."""

    assignment: Assignment


class Release(msgspec.Struct, frozen=True, tag=True):
    """Make a process leave an area."""

    target: str
    area: str


class BackUp(msgspec.Struct, frozen=True, tag=True):
    """Back up the state that the active has of an area, which will be released."""

    target: str
    area: str


class Switchover(msgspec.Struct, frozen=True, tag=True):
    """Make an active hand over to its passive."""

    target: str
    area: str


class KeepWarmEngine(msgspec.Struct, frozen=True, tag=True):
    """Make a process keep an engine ready whenever it is a spare, or none."""

    target: str
    keep: bool


class GrantAuthority(msgspec.Struct, frozen=True, tag=True):
    """Bring the map of its plane to the active of an area."""

    target: str
    authority: Authority


class DropRecord(msgspec.Struct, frozen=True, tag=True):
    """Delete the record of an area that no process holds any more."""

    area: str


class SetLabel(msgspec.Struct, frozen=True, tag=True):
    """Change the labels of a replica."""

    replica: str
    label: Label


class Report(msgspec.Struct, frozen=True, tag=True):
    """Report a problem that waits for a process or for the operator.

    Attributes:
        area: The area that has the problem.
        message: A sentence for the operator.
        needs: The kind of process that would help; None if another process would not help.
        reason: The problem in one word if the message holds numbers that change while the problem lasts; else empty.
        blocked: Why the backend does not start such a process, as a part of the message; empty if that is unknown.
        cause: The cause without such numbers: a problem of another cause is another problem. Empty if there is one.
    """

    area: str
    message: str
    needs: Kind | None = None
    reason: str = ""
    blocked: str = ""
    cause: str = ""


Request = Assign | ResendAssignment | Release | BackUp | Switchover | KeepWarmEngine | GrantAuthority
"""The actions that are sent to processes."""

Action = Request | AdoptReported | DropRecord | Report
"""The actions that `decide` returns; labels are planned by `plan.labels`."""
