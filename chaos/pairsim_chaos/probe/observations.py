"""What was seen of an area, and whether it fits: invariants "continuous" and "one writer". Sans-I/O.

A tick that is done anew and comes out the same has not been undone for anybody; one that comes out differently has
another digest. So digests of the same tick are compared, whoever tells them and whenever; and a new active must not
begin below a tick that was seen in an earlier term.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from pairsim.model.status import ReplicaStatus, Role
from pairsim_chaos.probe.violations import Violations

_TICKS = 20_000
_TERMS = 1_000


class Takeover(msgspec.Struct, frozen=True):
    """An active that was seen in place of another.

    Attributes:
        at: Seconds of the probe's clock.
    """

    at: float
    term: int
    before: str
    after: str


class Ticks:
    """What observers saw; a connection is one observer at one replica."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.seen = 0
        self.undone = Violations()
        self._newest: dict[int, int] = {}

    def frame(self, replica: str, before: tuple[int, int], term: int, tick: int) -> tuple[int, int]:
        """A frame after the one `before` (term and tick) on its connection; what to pass with the next."""
        self.seen += 1
        if term < before[0] or tick <= before[1]:
            self.undone.add(f"{replica} showed tick {tick} of term {term} after tick {before[1]} of term {before[0]}")
        self._newest[term] = max(tick, self._newest.get(term, 0))
        if len(self._newest) > _TERMS:
            del self._newest[min(self._newest)]
        return term, tick

    def active(self, replica: str, term: int, tick: int) -> None:
        """A replica says that it is active, and at which tick."""
        newest = max((seen for earlier, seen in self._newest.items() if earlier < term), default=0)
        if tick < newest:
            self.undone.add(f"{replica} is active in term {term} at tick {tick}; tick {newest} had been seen before")


class Actives:
    """Who said to be active, by term."""

    def __init__(self) -> None:
        """Nobody yet."""
        self.seen = 0
        self.twice = Violations()
        self.takeovers: list[Takeover] = []
        self._by_term: OrderedDict[tuple[int, int], str] = OrderedDict()
        self._last = ""

    def status(self, status: ReplicaStatus, at: float) -> bool:
        """What a replica of the area says; whether it is the first time that it is active in this term."""
        if status.role is not Role.ACTIVE:
            return False
        self.seen += 1
        key = (status.generation, status.term)
        known = self._by_term.get(key)
        if known is not None:
            if known != status.replica:
                self.twice.add(f"{known} and {status.replica} are active in term {status.term}")
            return False
        newest = not self._by_term or key > max(self._by_term)
        self._by_term[key] = status.replica
        if len(self._by_term) > _TERMS:
            self._by_term.popitem(last=False)
        if newest:
            if self._last and self._last != status.replica:
                self.takeovers.append(Takeover(at, status.term, self._last, status.replica))
                del self.takeovers[:-_TERMS]
            self._last = status.replica
        return True


class Labels:
    """Who was labelled active at the same moment."""

    def __init__(self) -> None:
        """Nobody is yet."""
        self.looks = 0
        self.twice = Violations()
        self._active: frozenset[str] = frozenset()

    def seen(self, active: frozenset[str]) -> None:
        """All that are labelled active at one moment."""
        self.looks += 1
        if len(active) > 1 and active != self._active:
            self.twice.add(f"{' and '.join(sorted(active))} were labelled active at the same moment")
        self._active = active


class Digests:
    """Of the recent ticks, by whoever told them."""

    def __init__(self) -> None:
        """None yet."""
        self.compared = 0
        self.unequal = Violations()
        self._known: OrderedDict[int, tuple[str, str]] = OrderedDict()

    def told(self, replica: str, digests: dict[int, str]) -> None:
        """What a replica was at."""
        for tick, digest in sorted(digests.items()):
            known = self._known.setdefault(tick, (digest, replica))
            if known[1] != replica:
                self.compared += 1
            if known[0] != digest:
                self.unequal.add(f"tick {tick} is {known[0]} for {known[1]}, and {digest} for {replica}")
        while len(self._known) > _TICKS:
            self._known.popitem(last=False)


class Divergences:
    """Mismatches that replicas found themselves, by process."""

    def __init__(self, began: float) -> None:
        """None yet. What a process found before `began` (Unix time, seconds) does not count."""
        self._began = began
        self.found = Violations()
        self._known: dict[tuple[str, int], int] = {}

    def status(self, status: ReplicaStatus) -> None:
        """What a replica says."""
        key = (status.replica, status.pid)
        before = self._known.setdefault(key, 0 if status.started_at > self._began else status.divergences)
        if status.divergences > before:
            self.found.add(
                f"{status.replica} found {status.divergences - before} state(s) that differ from the log's digest,"
                f" until tick {status.synced_tick}"
            )
            self._known[key] = status.divergences
