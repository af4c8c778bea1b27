"""What should never be: counted, with the first sentences of each kind; memory stays bounded however bad it gets."""

from __future__ import annotations

_KEPT = 10


class Violations:
    """Of one invariant in one area."""

    def __init__(self) -> None:
        """There are none yet."""
        self.count = 0
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        """One more."""
        self.count += 1
        if len(self.sentences) < _KEPT:
            self.sentences.append(sentence)
