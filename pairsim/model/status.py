"""The statuses that processes report of themselves: the answers to `GET /v1/status`."""

from __future__ import annotations

import enum
from collections.abc import Hashable

import msgspec

from pairsim.model.crossings.border_status import BorderStatus

SLOW_PACE = 0.9
"""An active whose pace is below this share of its tick rate is slow; see `ReplicaStatus.pace`."""


class Role(enum.StrEnum):
    """The present role of a simulator process."""

    ACTIVE = "active"
    PASSIVE = "passive"
    JOINING = "joining"
    SPARE = "spare"


class Succession(enum.StrEnum):
    """The reason why the previous active stopped being the active."""

    HANDED_OVER = "it handed over"
    CLOSED = "its connection closed"
    SILENT = "nothing was heard of it"


class SimulatorPhase(enum.StrEnum):
    """The ways in which the code of a simulator keeps its process from simulating an area."""

    COMPILING = "compiling"
    """The process has the area and waits for the simulator to compile and load what it needs."""

    REFUSED = "refused"
    """The simulator raised before the replica voted, so the process refused the area and is asked again later; or the
    active's state does not fit it."""

    STUCK = "stuck"
    """The simulator does not return from a call, so the area does not go on."""

    RESTARTING = "restarting"
    """The engine, which runs the simulator, has ended and is started again."""

    PAUSED = "paused"
    """The simulator failed at the next tick, so the area stands before that tick until a further attempt succeeds."""

    OTHER_CODE = "other-code"
    """The engine has loaded other code than the one with which the area is computed, and waits for an order."""


class SimulatorState(msgspec.Struct, frozen=True):
    """What the code of a simulator keeps its process from.

    Attributes:
        area: The name of the area.
        phase: The way.
        seconds: How long it has lasted; if it is paused, the time until the next attempt, 0 on a passive.
        about: The error, or the call that does not return, with its tick and commands; empty while it compiles.
        start_failed: Whether the newest attempt to start the engine failed.
        tick: The tick that fails, if it is paused; else 0.
        commands: How many commands that tick was computed with, if it is paused.
        command: The id of the only one of them; empty without one, or with several.
    """

    area: str
    phase: SimulatorPhase
    seconds: float
    about: str = ""
    start_failed: bool = False
    tick: int = 0
    commands: int = 0
    command: str = ""

    @property
    def predicate(self) -> str:
        """The sentence whose subject is the process, such as "has been compiling for 12 s"."""
        match self.phase:
            case SimulatorPhase.COMPILING if round(self.seconds) < 1:
                return "has begun to compile"
            case SimulatorPhase.COMPILING:
                return f"has been compiling for {self.seconds:.0f} s"
            case SimulatorPhase.REFUSED:
                return f"cannot simulate {self.area}: {self.about}"
            case SimulatorPhase.STUCK:
                return f"has been stuck for {self.seconds:.0f} s in {self.about}"
            case SimulatorPhase.RESTARTING if self.start_failed:
                return f"tries to start its engine; this failed: {self.about}"
            case SimulatorPhase.RESTARTING:
                return f"starts its engine again: {self.about}"
            case SimulatorPhase.PAUSED:
                return f"is paused before a tick that fails, and tries it again: {self.about}"
            case SimulatorPhase.OTHER_CODE:
                return f"computes nothing: its simulator's code is not the one with which {self.area} is computed"

    def advice(self, options: str = "") -> str:
        """What an operator has to do so that it goes on, if that is always the same; else empty.

        `options` are those that a command needs to reach the world, such as " --port 8081".
        """
        if self.phase is not SimulatorPhase.OTHER_CODE:
            return ""
        return f"pairsim engines restart {self.area}{options} puts that code into force"

    @property
    def cause(self) -> str:
        """What an operator has to end, without numbers that change from one attempt to the next; empty if nothing."""
        if self.phase is SimulatorPhase.OTHER_CODE:
            return "other code"
        if self.phase is not SimulatorPhase.PAUSED:
            return ""
        return f"tick {self.tick} with {self.command or self.commands}"

    @property
    def stands_still(self) -> bool:
        """Whether the simulated time of an active stands still because of it."""
        return self.phase not in {SimulatorPhase.COMPILING, SimulatorPhase.REFUSED}


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a simulator process to `GET /v1/status`.

    Attributes:
        plane, area: The names of its plane and its area; empty for a spare.
        replica: The name of the process.
        role: The present role of the process.
        generation: The number of the Raft group; 0 for a spare.
        term: The Raft term, which fences writers.
        version: The version of the map of its plane that the area knows; 0 before its first grant of authority.
        tick: The newest committed tick that this replica knows.
        synced_tick: The tick of this replica's own state.
        digest: The digest of the state at `synced_tick`, 16 hex digits.
        entities: The number of entities in its state.
        leader: The name of the active, or None while the area has no active.
        members: The names of the three members.
        addresses: The peer addresses of the members as this replica knows them, in the order of `members`.
        in_sync: Whether this replica could take over with what it has.
        peer_in_sync: On the active, whether the passive could take over; elsewhere False.
        started_at: When the process started, Unix time in seconds.
        pid: The process id.
        peer: The address of its port for Raft and the state stream, host:port.
        divergences: Digest mismatches since the start: of states (a keyframe repairs them) and of re-executed ticks.
        leaving: Whether the process will end soon, so that another process should take its place.
        succession: On an active, why it followed another active; None if it is the first, or on other roles.
        pace: On the active, the share of its tick rate that it kept over the last seconds; 1.0 if it keeps up.
        tick_ms: On the active, milliseconds per tick over the last seconds; 0 until that is known.
        problem: Why the process cannot do its part in the area, as a sentence; empty if nothing prevents it.
        outside: How many of its entities were at a position outside of the area's bounds a second ago or so.
        simulator: What the code of a simulator keeps the process from, also of an area that it does not have yet; None
            if nothing.
        received_bytes: How much a replica has received of the state that is under way to it, or of the log if its log
            is behind its state. It grows while a transfer over a slow link goes on.
        engine_pid: The process id of its engine, which runs the simulator, or of the warm engine of a spare; None
            without one.
        revision: How many orders of operators about its engine the log of the area has: commands that were skipped,
            and code that was put into force.
        order: The newest of these orders that came since the process started, as a sentence; empty without one.
        number: The number of the area, which stands for it in columns; 0 while it has no cell.
        borders: On the active, what crosses the borders of the area; elsewhere None.
    """

    plane: str
    area: str
    replica: str
    role: Role
    generation: int
    term: int
    version: int
    tick: int
    synced_tick: int
    digest: str
    entities: int
    leader: str | None
    members: tuple[str, ...]
    in_sync: bool
    peer_in_sync: bool
    started_at: float
    pid: int
    peer: str
    divergences: int = 0
    leaving: bool = False
    succession: Succession | None = None
    pace: float = 1.0
    tick_ms: float = 0.0
    problem: str = ""
    outside: int = 0
    addresses: tuple[str, ...] = ()
    simulator: SimulatorState | None = None
    received_bytes: int = 0
    engine_pid: int | None = None
    revision: int = 0
    order: str = ""
    number: int = 0
    borders: BorderStatus | None = None

    @property
    def without_area(self) -> str:
        """A sentence for a request that needs an area, if the process has none."""
        return (
            f"{self.replica} {self.simulator.predicate}"
            if self.simulator
            else "this process is a spare: it has no area"
        )

    def significant(self) -> Hashable:
        """Returns everything in the status that decisions, labels and verdicts depend on.

        Two statuses with equal values differ only in what changes all the time: ticks, digests, counts and times. Of
        the tick it matters whether there was one, of the pace whether the active is slow, and of the borders which
        neighbours have taken nothing for long.
        """
        return (
            self.role,
            self.area,
            self.generation,
            self.term,
            self.version,
            self.number,
            self.leader,
            self.members,
            self.in_sync,
            self.peer_in_sync,
            self.leaving,
            self.tick > 0,
            self.pace < SLOW_PACE,
            self.divergences,
            self.problem,
            self.addresses,
            self.revision,
            self.borders is not None and frozenset(each.number for each in self.borders.neighbours if each.stalled),
            self.simulator is not None and (self.simulator.area, self.simulator.phase, self.simulator.about),
        )


class WitnessGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The Raft group of one area as its witness sees it.

    Attributes:
        area: The name of the area.
        generation: The number of the Raft group.
        term: The Raft term.
        tick: The newest committed tick that the witness knows.
        leader: The name of the active, or None while the area has no active.
        members: The names of the three members.
        addresses: The peer addresses of the members as the witness knows them, in the order of `members`.
        votes: Whether the witness votes. A new witness does not vote at once, because it may have given a vote that it
            has forgotten, and that vote must not count twice.
        problem: Why the witness cannot do its part in the area, as a sentence; empty if nothing prevents it.
    """

    area: str
    generation: int
    term: int
    tick: int
    leader: str | None
    members: tuple[str, ...]
    votes: bool = True
    addresses: tuple[str, ...] = ()
    problem: str = ""

    def significant(self) -> Hashable:
        """Returns everything in the group that decisions and verdicts depend on; of the tick, whether there was one."""
        return (
            self.area,
            self.generation,
            self.term,
            self.leader,
            self.members,
            self.votes,
            self.tick > 0,
            self.addresses,
            self.problem,
        )


class WitnessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a witness process to `GET /v1/status`.

    Attributes:
        replica: The name of the process.
        started_at: When the process started, Unix time in seconds.
        pid: The process id.
        peer: The address of its Raft port, host:port.
        areas: The Raft groups that it is a member of.
        leaving: Whether the process will end soon, so that another process should take its place.
    """

    replica: str
    started_at: float
    pid: int
    peer: str
    areas: tuple[WitnessGroup, ...]
    leaving: bool = False

    def significant(self) -> Hashable:
        """Returns everything in the status that decisions and verdicts depend on."""
        return self.leaving, *(group.significant() for group in self.areas)
