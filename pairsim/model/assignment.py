"""Assignments: the documents by which the controller makes processes the members of an area.

An `Assignment` is level-based: the controller may send the same document to all three members any number of times, and
each member does whatever is missing to make it true.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.names import Address, Name


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member of a generation: a simulator process or a witness process.

    Attributes:
        replica: The name of the process, unique in the world.
        peer: The address of its port for Raft and the state stream, host:port.
        url: The base URL of its HTTP API, without a slash at the end.
    """

    replica: Name
    peer: Address
    url: str


class Assignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One generation of an area: a Raft group of fixed members.

    Attributes:
        spec: The specification of the area.
        generation: The number of the generation: 1 for a new area, then one more with every replaced member.
        replicas: The two simulator processes.
        witness: The witness process, which has the third vote.
        joins: The names of the members that are new in this generation. They start by following the active's state
            stream; the active seals the previous generation once they are in sync. Empty for generation 1.
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
        """Returns the two replicas and the witness."""
        return (*self.replicas, self.witness)

    def member(self, replica: str) -> Member | None:
        """Returns the member of that name, or None."""
        return next((m for m in self.members() if m.replica == replica), None)
