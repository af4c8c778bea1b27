"""A counter of violations that keeps the first sentences, so that memory stays bounded however many are found."""

from __future__ import annotations

_MAX_SENTENCES = 10


class Violations:
    """The violations of one invariant in one area."""

    def __init__(self) -> None:
        """Creates an empty counter."""
        self.count = 0
        self.sentences: list[str] = []

    def add(self, sentence: str) -> None:
        """Counts a violation, and keeps its sentence if there is room."""
        self.count += 1
        if len(self.sentences) < _MAX_SENTENCES:
            self.sentences.append(sentence)
