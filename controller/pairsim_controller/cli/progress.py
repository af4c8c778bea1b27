"""When a world is ready: every area has been redundant once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pairsim_controller.story.entry import HistoryEntry


class ReadinessReporter:
    """Reads the history of a world, and says once that every area has been redundant."""

    def __init__(self, areas: Iterable[str], on_ready: Callable[[], None]) -> None:
        """Waits for the areas of these names, and calls `on_ready` then; call `read` with each entry."""
        self._waiting, self._on_ready = set(areas), on_ready
        self._ready = False

    def read(self, entry: HistoryEntry) -> None:
        """Takes in an entry of the history."""
        if entry.kind == "redundant":
            self._waiting.discard(entry.area)
        if not self._waiting and not self._ready:
            self._ready = True
            self._on_ready()
