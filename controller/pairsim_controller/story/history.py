"""The history of a world: its newest entries, and the readers that receive each new one. Sans-I/O."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from pairsim_controller.story.entry import EntryKind, HistoryEntry, plain_entry

MAX_ENTRIES = 200

Reader = Callable[[HistoryEntry], None]
"""Receives each new entry."""


class History:
    """The newest `MAX_ENTRIES` entries of a world.

    Attributes:
        entries: The entries, oldest first.
        readers: The functions that receive each new entry, in this order; they must not raise.
    """

    def __init__(self, earlier: Iterable[HistoryEntry] = (), *, clock: Callable[[], float] = time.time) -> None:
        """Continues after `earlier` entries; `clock` returns the Unix time in seconds."""
        self.entries: deque[HistoryEntry] = deque(earlier, maxlen=MAX_ENTRIES)
        self.readers: list[Reader] = []
        self._clock = clock
        self._number = max((entry.number for entry in self.entries), default=0)

    def extend(self, entries: Iterable[HistoryEntry]) -> None:
        """Numbers entries, adds them, and passes them to the readers."""
        for entry in entries:
            self._number += 1
            about, sentence = _encodable(entry.about), _encodable(entry.sentence)
            numbered = msgspec.structs.replace(entry, number=self._number, about=about, sentence=sentence)
            self.entries.append(numbered)
            for reader in self.readers:
                reader(numbered)

    def note(self, kind: EntryKind, area: str, sentence: str) -> None:
        """Adds an entry that is not about an active, with the present time."""
        self.extend([plain_entry(kind, area, sentence, self._clock())])


def _encodable(text: str) -> str:
    """Returns a text that every reader can encode: a path may hold bytes that are not UTF-8."""
    return text.encode(errors="backslashreplace").decode()
