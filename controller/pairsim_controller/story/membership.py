"""Entries about the members of an area, from two recorded assignments; pure."""

from __future__ import annotations

from typing import Protocol

from pairsim.model.assignment import Member
from pairsim_controller.story.entry import EntryKind, HistoryEntry, plain_entry


class AssignedMembers(Protocol):
    """An assignment, as the data folder or the status of an `Area` has it."""

    @property
    def generation(self) -> int:
        """The number of the Raft group."""

    @property
    def replicas(self) -> tuple[Member, Member]:
        """The pair."""

    @property
    def witness(self) -> Member:
        """The witness."""

    @property
    def joins(self) -> tuple[str, ...]:
        """The members that join with this generation."""


def membership_entry(
    area: str, before: AssignedMembers | None, after: AssignedMembers | None, at: float, because: str = ""
) -> HistoryEntry | None:
    """Returns the entry about a newly recorded assignment; None if it has the generation and members of the one before.

    Args:
        area: The name of the area.
        before: The assignment that was recorded until now.
        after: The assignment that is recorded now.
        at: Unix time in seconds.
        because: Why a member gets a successor, as a sentence; empty if other entries say that.
    """
    if after is None:
        return plain_entry("released", area, "no process holds it any more", at) if before is not None else None
    if before is not None and (before.generation, _names(before)) == (after.generation, _names(after)):
        return None
    names = f"{' and '.join(m.replica for m in after.replicas)}, witness {after.witness.replica}"
    kind: EntryKind
    if before is None and after.generation == 1:
        kind, sentence = "members", f"founded with {names}"
    elif before is None or after.generation < before.generation or not after.joins:
        kind, sentence = "adopted", f"generation {after.generation} is in force: {names}"
    else:
        kind, sentence = "replacing", f"generation {after.generation}: {names}{f' ({because})' if because else ''}"
    return plain_entry(kind, area, sentence, at, about=names)


def _names(assignment: AssignedMembers) -> frozenset[str]:
    return frozenset(m.replica for m in (*assignment.replicas, assignment.witness))
