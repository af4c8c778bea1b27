"""The progress messages of `pairsim up`: when an area becomes redundant, and why it is not redundant for a while."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pairsim.model.world_status import AreaStatusView, WorldStatus
from pairsim_controller.reconcile.redundancy_tracker import RedundancyChange, RedundancyEvent, RedundancyTracker


class ProgressReporter:
    """Finds new messages in the statuses of a world. Sans-I/O; times are in seconds of any clock that goes forward."""

    def __init__(self, began: float, ready: str) -> None:
        """Measures from `began`; `ready` is the message when every area has been redundant once."""
        self._began, self._ready = began, ready
        self._areas: defaultdict[str, RedundancyTracker] = defaultdict(RedundancyTracker)
        self._redundant_once: set[str] = set()

    def new_messages(self, status: WorldStatus, now: float) -> Iterator[str]:
        """Yields the messages since the last call."""
        for area in status.areas:
            event = self._areas[area.area].observe(area, now)
            if event is not None:
                yield f"{area.area}: {self._message(area, event, now)}"
        if self._ready and len(self._redundant_once) == len(status.areas):
            yield self._ready
            self._ready = ""

    def _message(self, area: AreaStatusView, event: RedundancyEvent, now: float) -> str:
        if event.change is RedundancyChange.LOST:
            return f"not redundant for {event.seconds:.0f} s: {area.missing}"
        names = " and ".join(f"{replica.replica} ({replica.role})" for replica in area.replicas)
        pair = f"{names}, {max(replica.entities for replica in area.replicas)} entities"
        if event.change is RedundancyChange.BEGUN:
            self._redundant_once.add(area.area)
            return f"redundant after {now - self._began:.2f} s: {pair}"
        return f"redundant again after {event.seconds:.2f} s: {pair}" if event.seconds else f"redundant: {pair}"
