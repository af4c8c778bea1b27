"""What processes say of themselves: the answers of `GET /v1/status`."""

from __future__ import annotations

import enum
from collections.abc import Hashable

import msgspec

SLOW_PACE = 0.9
"""An active whose pace is below this share of its tick rate is slow; see `ReplicaStatus.pace`."""


class Role(enum.StrEnum):
    """What a simulator process is at the moment."""

    ACTIVE = "active"
    PASSIVE = "passive"
    JOINING = "joining"
    SPARE = "spare"


class Succession(enum.StrEnum):
    """Why an active followed the one before."""

    HANDED_OVER = "it handed over"
    CLOSED = "its connection closed"
    SILENT = "nothing was heard of it"


class ReplicaStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/status` of a simulator process.

    Attributes:
        plane, area: Empty for a spare.
        replica: The process's name.
        role: What it is.
        generation: The Raft group's number; 0 for a spare.
        term: Raft's term; fences writers.
        epoch: The authority grant in force.
        tick: The newest committed tick that this replica knows.
        synced_tick: The tick that its own state is at.
        digest: Of the state at `synced_tick`, 16 hex digits.
        entities: How many it holds.
        leader: The active's name, or None while there is none.
        members: Names of the three members.
        in_sync: Whether this replica could take over without asking anybody.
        peer_in_sync: On the active: whether the passive could take over; elsewhere False.
        started_at: Unix time in seconds.
        pid: The process id.
        peer: Where its Raft and sync port listens.
        divergences: Digest mismatches since the start, of states (mended by a keyframe) and of ticks done again.
        leaving: Whether it will end soon, and its place should be given to another one.
        succession: Of an active: why it followed another one; None if it is the first, or no active.
        pace: On the active: the share of its tick rate that it kept over the last seconds; 1.0 if it keeps up.
        tick_ms: On the active: what a tick took over the last seconds; 0 until that is known.
    """

    plane: str
    area: str
    replica: str
    role: Role
    generation: int
    term: int
    epoch: int
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

    def significant(self) -> Hashable:
        """Returns everything in the status that decisions, labels and verdicts depend on.

        Two statuses with equal values differ only in what changes all the time: ticks, digests, counts and times. Of
        the tick it matters whether there was one, and of the pace whether the active is slow.
        """
        return (
            self.role,
            self.area,
            self.generation,
            self.term,
            self.epoch,
            self.leader,
            self.members,
            self.in_sync,
            self.peer_in_sync,
            self.leaving,
            self.tick > 0,
            self.pace < SLOW_PACE,
        )


class WitnessGroup(msgspec.Struct, frozen=True, kw_only=True):
    """One area's group as its witness sees it.

    Attributes:
        votes: Whether the witness votes: one that is new does not at once, lest a vote that it forgot count twice.
    """

    area: str
    generation: int
    term: int
    tick: int
    leader: str | None
    members: tuple[str, ...]
    votes: bool = True

    def significant(self) -> Hashable:
        """Returns everything in the group that decisions and verdicts depend on; of the tick, whether there was one."""
        return self.area, self.generation, self.term, self.leader, self.members, self.votes, self.tick > 0


class WitnessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/status` of a witness process."""

    replica: str
    started_at: float
    pid: int
    peer: str
    areas: tuple[WitnessGroup, ...]
    leaving: bool = False

    def significant(self) -> Hashable:
        """Returns everything in the status that decisions and verdicts depend on."""
        return self.leaving, *(group.significant() for group in self.areas)
