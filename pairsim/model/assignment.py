"""Who simulates what: the documents that pass between the controller, replicas and witnesses.

An `Assignment` is level-based: the controller sends the same document to all three members as often as it
likes, and each does what is missing to make it true.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.names import Address, Name


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
