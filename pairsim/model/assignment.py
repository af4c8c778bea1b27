"""Who simulates what: the documents that pass between the controller, replicas and witnesses.

An `Assignment` is level-based: the controller sends the same document to all three members as often as it
likes, and each does what is missing to make it true.
"""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from pairsim.model.geometry import Box

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
"""An RFC 1123 label, as Kubernetes wants its names."""

Address = Annotated[str, msgspec.Meta(pattern=r"^[^\s:]+:[0-9]{1,5}$", max_length=260)]
"""host:port."""

Parameter = bool | int | float | str
TickRate = Annotated[float, msgspec.Meta(gt=0, le=1000)]


class AreaSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a replica must know to simulate an area; the same on every member.

    Attributes:
        area: The area's name.
        plane: The plane that it is a part of.
        simulator: Entry point name or `module:Class`.
        parameters: The plane's simulator parameters.
        seed: The world's seed.
        tick_rate: Ticks per second.
        bounds: The area's part of the world, in metres.
        world: The world's edge, in metres.
        entities: How many entities `populate` creates at genesis.
    """

    area: Name
    plane: Name
    simulator: str
    parameters: dict[str, Parameter] = {}
    seed: int = 0
    tick_rate: TickRate = 20.0
    bounds: Box
    world: Box
    entities: Annotated[int, msgspec.Meta(ge=0, le=50_000_000)] = 0


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member of a generation.

    Attributes:
        replica: The process's name, unique in the world.
        peer: Where its Raft and sync port listens.
        url: The base of its HTTP API, without a slash at the end.
    """

    replica: Name
    peer: Address
    url: str


class Assignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One generation of an area: a Raft group of fixed members.

    Attributes:
        spec: The area.
        generation: 1 for a new area, then one more with every replaced member.
        replicas: The two simulator processes.
        witness: The third vote.
        joins: Names of members that are new in this generation. They start by following the active's state
            stream; the active seals the generation before once they are in sync. Empty for generation 1.
    """

    spec: AreaSpec
    generation: Annotated[int, msgspec.Meta(ge=1)]
    replicas: tuple[Member, Member]
    witness: Member
    joins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = {m.replica for m in self.members()}
        peers = {m.peer for m in self.members()}
        if len(names) != 3 or len(peers) != 3:
            raise ValueError("a generation needs three members with three names and three peer addresses")
        if not set(self.joins) <= names:
            raise ValueError("joins must name members of the generation")
        if self.generation == 1 and self.joins:
            raise ValueError("the first generation has no joining members")

    def members(self) -> tuple[Member, Member, Member]:
        """The two replicas and the witness."""
        return (*self.replicas, self.witness)

    def member(self, replica: str) -> Member | None:
        """The member of that name."""
        return next((m for m in self.members() if m.replica == replica), None)


class Authority(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A grant: the bounds of an area. A lower epoch than the one in force is refused."""

    area: Name
    epoch: Annotated[int, msgspec.Meta(ge=1)]
    bounds: Box


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


class WitnessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `GET /v1/status` of a witness process."""

    replica: str
    started_at: float
    pid: int
    peer: str
    areas: tuple[WitnessGroup, ...]
    leaving: bool = False
