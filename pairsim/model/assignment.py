"""Assignments: the documents by which the controller makes processes the members of an area.

An `Assignment` is level-based: the controller may send the same document to all three members any number of times, and
each member does whatever is missing to make it true.
"""

from __future__ import annotations

from collections.abc import Iterable
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

    def has_members_of(self, other: Assignment) -> bool:
        """Returns whether both are the same generation of one area with the same members, whatever their addresses."""
        return (self.spec.area, self.generation, self.witness.replica, {m.replica for m in self.replicas}) == (
            other.spec.area,
            other.generation,
            other.witness.replica,
            {m.replica for m in other.replicas},
        )

    def readdressed(self, known: Iterable[Member]) -> Assignment:
        """Returns the same generation with the addresses of the members in `known`; other members keep theirs.

        An address may have passed from a member to another one. The member that is not in `known`, or comes later, gets
        an address then that can never be in use.
        """
        present = {m.replica: m for m in known}
        found: dict[str, Member] = {}
        for member in sorted(self.members(), key=lambda m: m.replica not in present):
            now = present.get(member.replica, member)
            taken = {other.peer for other in found.values()}
            found[member.replica] = unreachable_member(member.replica) if now.peer in taken else now
        first, second, third = (found[m.replica] for m in self.members())
        return msgspec.structs.replace(self, replicas=(first, second), witness=third)

    def member(self, replica: str) -> Member | None:
        """Returns the member of that name, or None."""
        return next((m for m in self.members() if m.replica == replica), None)


def unreachable_member(replica: str) -> Member:
    """Returns a member of which no address is known: its addresses can never be in use."""
    return Member(replica=replica, peer=f"{replica}.invalid:1", url=f"http://{replica}.invalid")
