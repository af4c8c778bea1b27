"""An entry of a world's history: what happened in which area and when, as one sentence for people."""

from __future__ import annotations

from typing import Literal

import msgspec

EntryKind = Literal[
    "founded",
    "takeover",
    "switchover",
    "renewed",
    "standstill",
    "resumed",
    "redundant",
    "swapped",
    "lost",
    "restored",
    "diverged",
    "ordered",
    "waiting",
    "flowing",
    "members",
    "replacing",
    "adopted",
    "released",
    "backup",
    "problem",
    "ended",
    "world",
]


class HistoryEntry(msgspec.Struct, frozen=True):
    """An entry of the history.

    Attributes:
        number: Grows by one with each entry, also over restarts of the controller that keeps its history.
        at: Unix time in seconds.
        area: The area; empty for `ended` and `world`.
        kind: About actives: `founded` (the first active that was seen), `takeover` (another active, and the previous
            one was lost), `switchover` (another active, to which the previous one handed over), `renewed` (the same
            active in a new term), `standstill` (no active for a while) and `resumed` (its end). About redundancy:
            `redundant` (for the first time), `swapped` (the same members in other roles), `lost` and `restored`. About
            members: `members` (the first pair), `replacing` (a member gets a successor), `adopted` (a group that was
            not recorded), `released` (no process holds the area any more), `backup` (of an area that is released),
            `diverged` (a replica computed another state), `ended` (a process of any area ended).
            `ordered` is an order of an operator about a failing engine, or other code of its simulator.
            About borders: `waiting` (an outbox from which another area takes nothing) and `flowing` (its end).
            Others: `problem` (it lasts, and the area may wait for it), `world` (the controller itself).
        replica, before: The active now, and the previous one; empty if the entry is not about an active, or if no
            replica was active before. For `diverged`, `replica` is the one that computed another state.
        term: The active's term; 0 if the entry is not about an active.
        tick: The active's tick; 0 if the entry is not about an active.
        seconds: For `lost`, `restored`, `standstill` and `resumed`, how long the area was seen without redundancy or
            without an active; for `waiting` and `flowing`, how long the outbox has waited; for `takeover` and
            `switchover`, the time from the first sign of the change to the new active, 0 if that was not observed.
        about: The cause or the detail by itself: why the active changed, the reason of a loss, the pair.
        sentence: The whole sentence, without the time and the area.
    """

    number: int
    at: float
    area: str
    kind: EntryKind
    replica: str
    before: str
    term: int
    tick: int
    seconds: float = 0.0
    about: str = ""
    sentence: str = ""

    @property
    def line(self) -> str:
        """The sentence with its area, as a terminal shows it."""
        return f"{self.area}: {self.sentence}" if self.area else self.sentence


def plain_entry(kind: EntryKind, area: str, sentence: str, at: float, *, about: str = "") -> HistoryEntry:
    """Returns an entry that is not about an active, not numbered yet."""
    return HistoryEntry(0, at, area, kind, "", "", 0, 0, about=about or sentence, sentence=sentence)
