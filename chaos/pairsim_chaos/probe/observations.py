"""Observations of an area, and whether they are consistent: invariants "continuous" and "one writer". Sans-I/O.

A tick that is executed again with the same result has not been undone for anybody; with another result it has another
digest. Digests of the same tick are therefore compared across replicas and over time, and a new active must not start
below a tick that was seen in an earlier term.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from pairsim.model.status import ReplicaStatus, Role
from pairsim_chaos.probe.violations import Violations

_MAX_TICKS = 20_000
_MAX_TERMS = 1_000


class ObservedTakeover(msgspec.Struct, frozen=True):
    """A replica that was observed to be active in place of another one.

    Attributes:
        at: Seconds of the probe's clock.
        term: The term of the new active.
        before, after: The names of the old and of the new active.
    """

    at: float
    term: int
    before: str
    after: str


class TickObservations:
    """The ticks that observers received; a connection is one observer of one replica.

    Attributes:
        seen: The number of frames.
        undone: Ticks that were undone.
    """

    def __init__(self) -> None:
        """Creates an empty record."""
        self.seen = 0
        self.undone = Violations()
        self._newest: dict[int, int] = {}

    def on_frame(self, replica: str, before: tuple[int, int], term: int, tick: int) -> tuple[int, int]:
        """Takes a frame of a connection.

        Args:
            replica: The name of the replica that sent the frame.
            before: Term and tick of the frame before it on the same connection; (0, 0) for the first frame.
            term: The term of the frame.
            tick: The tick of the frame.

        Returns:
            The value to pass as `before` with the next frame.
        """
        self.seen += 1
        if term < before[0] or tick <= before[1]:
            self.undone.add(f"{replica} showed tick {tick} of term {term} after tick {before[1]} of term {before[0]}")
        self._newest[term] = max(tick, self._newest.get(term, 0))
        if len(self._newest) > _MAX_TERMS:
            del self._newest[min(self._newest)]
        return term, tick

    def on_active(self, replica: str, term: int, tick: int) -> None:
        """Takes the report of a replica that it has become active at a tick."""
        newest = max((seen for earlier, seen in self._newest.items() if earlier < term), default=0)
        if tick < newest:
            self.undone.add(f"{replica} is active in term {term} at tick {tick}; tick {newest} had been seen before")


class ActiveObservations:
    """The replicas that reported to be active, by term.

    Attributes:
        seen: The number of such reports.
        doubled: Two replicas that were active in the same term.
        takeovers: The takeovers in their order.
    """

    def __init__(self) -> None:
        """Creates an empty record."""
        self.seen = 0
        self.doubled = Violations()
        self.takeovers: list[ObservedTakeover] = []
        self._by_term: OrderedDict[tuple[int, int], str] = OrderedDict()
        self._last = ""

    def on_status(self, status: ReplicaStatus, at: float) -> bool:
        """Takes a status of a replica; returns whether it is the first report of an active in its term."""
        if status.role is not Role.ACTIVE:
            return False
        self.seen += 1
        key = (status.generation, status.term)
        known = self._by_term.get(key)
        if known is not None:
            if known != status.replica:
                self.doubled.add(f"{known} and {status.replica} are active in term {status.term}")
            return False
        newest = not self._by_term or key > max(self._by_term)
        self._by_term[key] = status.replica
        if len(self._by_term) > _MAX_TERMS:
            self._by_term.popitem(last=False)
        if newest:
            if self._last and self._last != status.replica:
                self.takeovers.append(ObservedTakeover(at, status.term, self._last, status.replica))
                del self.takeovers[:-_MAX_TERMS]
            self._last = status.replica
        return True


class LabelObservations:
    """The pods that were labelled active at the same moment.

    Attributes:
        seen: The number of observations.
        doubled: Pods that were labelled active at the same moment.
    """

    def __init__(self) -> None:
        """Creates an empty record."""
        self.seen = 0
        self.doubled = Violations()
        self._active: frozenset[str] = frozenset()

    def on_labels(self, active: frozenset[str]) -> None:
        """Takes the names of all pods that are labelled active at one moment."""
        self.seen += 1
        if len(active) > 1 and active != self._active:
            self.doubled.add(f"{' and '.join(sorted(active))} were labelled active at the same moment")
        self._active = active


class DigestObservations:
    """The digests of recent ticks, with the replica that reported each first.

    Attributes:
        compared: The number of digests that were compared with the digest of another replica.
        unequal: Digests of the same tick that differ.
    """

    def __init__(self) -> None:
        """Creates an empty record."""
        self.compared = 0
        self.unequal = Violations()
        self._known: OrderedDict[int, tuple[str, str]] = OrderedDict()

    def on_digests(self, replica: str, digests: dict[int, str]) -> None:
        """Takes the digests that a replica reported, by tick."""
        for tick, digest in sorted(digests.items()):
            known = self._known.setdefault(tick, (digest, replica))
            if known[1] != replica:
                self.compared += 1
            if known[0] != digest:
                self.unequal.add(f"tick {tick} is {known[0]} for {known[1]}, and {digest} for {replica}")
        while len(self._known) > _MAX_TICKS:
            self._known.popitem(last=False)


class DivergenceObservations:
    """The mismatches that replicas found themselves, by process.

    Attributes:
        found: The mismatches since the beginning of the probe.
    """

    def __init__(self, began: float) -> None:
        """Creates an empty record; mismatches that a process found before `began` (Unix time, seconds) do not count."""
        self._began = began
        self.found = Violations()
        self._known: dict[tuple[str, int], int] = {}

    def on_status(self, status: ReplicaStatus) -> None:
        """Takes a status of a replica, which counts the mismatches of its process."""
        key = (status.replica, status.pid)
        before = self._known.setdefault(key, 0 if status.started_at > self._began else status.divergences)
        if status.divergences > before:
            self.found.add(
                f"{status.replica} found {_states_that_differ(status.divergences - before)} from the log's digest,"
                f" until tick {status.synced_tick}"
            )
            self._known[key] = status.divergences


def _states_that_differ(count: int) -> str:
    return "1 state that differs" if count == 1 else f"{count} states that differ"
