"""What `pairsim up` says of the areas: when each is redundant, and when it has not been so for a while and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pairsim.model.world_status import AreaPicture, WorldPicture
from pairsim_controller.reconcile.redundancy_tracker import RedundancyChange, RedundancyEvent, RedundancyTracker


class Announcer:
    """Remembers what was told of which area; sans-I/O. Times are in seconds, of any clock that goes forward."""

    def __init__(self, began: float, ready: str) -> None:
        """`ready` is what to say when every area has been redundant once; the world was started at `began`."""
        self._began, self._ready = began, ready
        self._areas: defaultdict[str, RedundancyTracker] = defaultdict(RedundancyTracker)
        self._begun: set[str] = set()

    def fresh(self, picture: WorldPicture, now: float) -> Iterator[str]:
        """What is news."""
        for area in picture.areas:
            news = self._areas[area.area].observe(area, now)
            if news is not None:
                yield f"{area.area}: {self._sentence(area, news, now)}"
        if self._ready and len(self._begun) == len(picture.areas):
            yield self._ready
            self._ready = ""

    def _sentence(self, area: AreaPicture, news: RedundancyEvent, now: float) -> str:
        if news.change is RedundancyChange.LOST:
            return f"not redundant for {news.seconds:.0f} s: {area.missing}"
        names = " and ".join(f"{replica.replica} ({replica.role})" for replica in area.replicas)
        what = f"{names}, {max(replica.entities for replica in area.replicas)} entities"
        if news.change is RedundancyChange.BEGUN:
            self._begun.add(area.area)
            return f"redundant after {now - self._began:.2f} s: {what}"
        return f"redundant again after {news.seconds:.2f} s: {what}" if news.seconds else f"redundant: {what}"
