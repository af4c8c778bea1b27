"""Where a follower's log agrees with what a leader says of its own log (Raft paper, figure 2).

Only a conflict may cut a log. By the paper's Log Matching Property, two logs that have an entry of the same index
and term are identical up to this entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pairsim.replication.raft.messages import Entry


class Log(Protocol):
    """Entries with consecutive indices; never empty."""

    def __getitem__(self, place: int, /) -> Entry:
        """Returns the entry at a place; negative places count from the end."""


def term_at(log: Log, index: int) -> int | None:
    """Returns the term of the entry with that index; None if the log does not hold it (yet, or any more)."""
    first, last = log[0][1], log[-1][1]
    return log[index - first][2] if first <= index <= last else None


def matching_prefix(log: Log, previous: int, previous_term: int, entries: Sequence[Entry]) -> int | None:
    """Returns how many of the entries, counted from the first, the log already holds.

    Args:
        log: The follower's log.
        previous: Index of the entry before the first of `entries`.
        previous_term: Term of that entry.
        entries: What the leader sent.

    Returns:
        The number of entries that match, or None if the log does not hold the entry before them.
    """
    if term_at(log, previous) != previous_term:
        return None
    count = 0
    for _command, index, term in entries:
        if term_at(log, index) != term:
            break
        count += 1
    return count
