"""Where a log agrees with what a leader says of its own (Raft paper, figure 2): only a conflict may cut.

By the paper's log matching, two logs that have an entry of the same index and term are the same up to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pairsim.replication.raft.messages import Entry


class Log(Protocol):
    """Entries without a gap in their indices; never empty."""

    def __getitem__(self, place: int, /) -> Entry:
        """An entry by its place."""


def term_at(log: Log, index: int) -> int | None:
    """The term of the entry of that index; None if there is none, or not any more."""
    first, last = log[0][1], log[-1][1]
    return log[index - first][2] if first <= index <= last else None


def known(log: Log, previous: int, previous_term: int, entries: Sequence[Entry]) -> int | None:
    """How many of the entries, from the first on, the log has; None if it does not have the one before them."""
    if term_at(log, previous) != previous_term:
        return None
    count = 0
    for _command, index, term in entries:
        if term_at(log, index) != term:
            break
        count += 1
    return count
