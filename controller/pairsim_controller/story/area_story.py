"""The history of one area: turns consecutive views of it into entries; does no I/O.

Every entry is made here once. The lines of `pairsim up`, the console's timeline, the events of an `Area` and the file
of the history show the same entries with the same times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase
from pairsim.model.world_status import AreaStatusView
from pairsim_controller.plan.redundancy import active_of
from pairsim_controller.plan.view import View
from pairsim_controller.reconcile.world_status import status_of_view
from pairsim_controller.story.active_tracker import ActiveChange, ActiveTracker, Standstill
from pairsim_controller.story.entry import EntryKind, HistoryEntry
from pairsim_controller.story.outbox_tracker import OutboxTracker
from pairsim_controller.story.redundancy_tracker import RedundancyChange, RedundancyEvent, RedundancyTracker


class Observation(NamedTuple):
    """The new entries, not numbered yet, and the change of the active that is among them."""

    entries: list[HistoryEntry]
    change: ActiveChange | None


class AreaStory:
    """The history of one area. Monotonic times are `now`, Unix times are `wall`; both are in seconds."""

    def __init__(
        self,
        area: str,
        *,
        began: float | None = None,
        actives: ActiveTracker | None = None,
        redundancy: RedundancyTracker | None = None,
        log_of: Callable[[str], str] = lambda _name: "",
    ) -> None:
        """Begins or continues the history of `area`.

        Args:
            area: The name of the area.
            began: The monotonic time at which the world was started; None if that is not worth a word.
            actives: The history of its active so far; by default none.
            redundancy: The history of its redundancy so far; by default none.
            log_of: Returns the path of the log of a process; empty if that means nothing to the reader.
        """
        self._area, self._began, self._log_of = area, began, log_of
        self._actives = actives if actives is not None else ActiveTracker()
        self._redundancy = redundancy if redundancy is not None else RedundancyTracker()
        self._outboxes = OutboxTracker()
        self._divergences: dict[str, tuple[int, int]] = {}
        self._revision: int | None = None
        self._wanted = False

    @property
    def due_at(self) -> float | None:
        """The monotonic time at which `observe` has to be called although nothing changes; None if it need not be.

        It is never before the last call. An area that is not wanted may not be observed again, so it is never due.
        """
        if not self._wanted:
            return None
        trackers = (self._actives, self._redundancy, self._outboxes)
        return min((tracker.due_at for tracker in trackers if tracker.due_at is not None), default=None)

    def observe(self, view: View, now: float, wall: float) -> Observation:
        """Takes in a view of the area; returns the entries that follow from it."""
        status = status_of_view(view, now)
        self._wanted = status is not None
        entries, change = [], None
        for found in self._actives.observe(view, now):
            if isinstance(found, ActiveChange):
                change = found
                entries.append(_active_entry(self._area, found, wall))
            elif status is not None:
                entries.append(_standstill_entry(view, found, status.missing, wall))
        if status is not None:
            event = self._redundancy.observe(status, now, failing=_fails(view))
            if event is not None:
                entries.append(self._redundancy_entry(status, event, now, wall))
        entries += self._diverged(view, wall)
        entries += self._ordered(view, wall)
        entries += self._waiting(view, now, wall)
        return Observation(entries, change)

    def _redundancy_entry(
        self, status: AreaStatusView, event: RedundancyEvent, now: float, wall: float
    ) -> HistoryEntry:
        active = next((r for r in status.replicas if r.role == Role.ACTIVE), None)
        pair = " and ".join(f"{replica.replica} ({replica.role})" for replica in status.replicas)
        count = max((replica.entities for replica in status.replicas), default=0)
        after = ""
        if event.change is RedundancyChange.LOST:
            pair, sentence = status.missing, f"not redundant for {_duration(event.seconds)}: {status.missing}"
        else:
            if event.change is RedundancyChange.BEGUN:
                after = f" after {now - self._began:.2f} s" if self._began is not None else ""
            elif event.seconds:
                after = f" again after {event.seconds:.2f} s"
            sentence = f"redundant{after}: {pair}, {count} entities"
        kind: EntryKind = _KINDS[event.change]
        name, term = (active.replica, active.term) if active is not None else ("", 0)
        return HistoryEntry(0, wall, self._area, kind, name, "", term, 0, event.seconds, pair, sentence)

    def _diverged(self, view: View, wall: float) -> Iterator[HistoryEntry]:
        active = active_of(view.area, view.statuses.values())
        for name, process in view.processes.items():
            status = process.replica
            if status is None or status.area != view.area:
                continue
            pid, before = self._divergences.get(name, (0, 0))
            self._divergences[name] = status.pid, status.divergences
            if status.divergences > (before if pid == status.pid else 0):
                yield self._diverged_entry(status, active, wall)

    def _ordered(self, view: View, wall: float) -> Iterator[HistoryEntry]:
        """Yields the newest order about the engine, if it is newer than those that were seen."""
        statuses = [s for s in (p.replica for p in view.processes.values()) if s is not None and s.area == view.area]
        newest = max(statuses, key=lambda status: (status.revision, status.order != ""), default=None)
        if newest is None:
            return
        before, self._revision = self._revision, max(newest.revision, self._revision or 0)
        if before is not None and newest.revision > before and newest.order:
            name, term, tick = newest.replica, newest.term, newest.tick
            yield HistoryEntry(
                0, wall, self._area, "ordered", name, "", term, tick, about=newest.order, sentence=newest.order
            )

    def _waiting(self, view: View, now: float, wall: float) -> Iterator[HistoryEntry]:
        """Yields which outboxes have begun to wait, and which wait no longer."""
        active = active_of(view.area, view.statuses.values())
        for change in self._outboxes.observe(active, now):
            kind: EntryKind = "flowing" if change.over else "waiting"
            yield HistoryEntry(
                0, wall, self._area, kind, "", "", 0, 0, change.seconds, change.sentence, change.sentence
            )

    def _diverged_entry(self, status: ReplicaStatus, active: ReplicaStatus | None, wall: float) -> HistoryEntry:
        name = status.replica
        if active is not None and active.replica == name:
            what = f"{name}, the active now, had computed another state than the active before it"
        else:
            what = f"{name} came to another state than the active{f' {active.replica}' if active is not None else ''}"
        path = self._log_of(name)
        log = f" (log: {path})" if path else ""
        sentence = f"{what}: its simulator's step is not deterministic{log}"
        return HistoryEntry(
            0, wall, self._area, "diverged", name, "", status.term, status.tick, about=what, sentence=sentence
        )


def _fails(view: View) -> bool:
    """Returns whether a replica's simulator fails at a tick, cannot be started, or has other code than the area."""
    found = [process.replica for process in view.processes.values()]
    states = [status.simulator for status in found if status is not None and status.area == view.area]
    failing = {SimulatorPhase.PAUSED, SimulatorPhase.OTHER_CODE}
    return any(state is not None and (state.phase in failing or state.start_failed) for state in states)


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < _SHORT_SECONDS else f"{seconds:.0f} s"


_SHORT_SECONDS = 0.95
_KINDS: dict[RedundancyChange, EntryKind] = {
    RedundancyChange.BEGUN: "redundant",
    RedundancyChange.SWAPPED: "swapped",
    RedundancyChange.LOST: "lost",
    RedundancyChange.RESTORED: "restored",
}


def _active_entry(area: str, change: ActiveChange, wall: float) -> HistoryEntry:
    active, before = change.active, change.before
    where = f", in term {active.term} at tick {active.tick}"
    match change.kind:
        case "founded":
            sentence = f"{active.replica} is active{where}"
        case "renewed":
            sentence = f"{active.replica} stays active{where}: {change.cause}"
        case "takeover" | "switchover":
            sentence = f"{active.replica} is active in place of {before} ({change.cause}){where}"
    return HistoryEntry(
        number=0,
        at=wall,
        area=area,
        kind=change.kind,
        replica=active.replica,
        before=before,
        term=active.term,
        tick=active.tick,
        seconds=change.seconds or 0.0,
        about=change.cause,
        sentence=sentence,
    )


def _standstill_entry(view: View, found: Standstill, missing: str, wall: float) -> HistoryEntry:
    active = active_of(view.area, view.statuses.values())
    if not found.over or active is None:
        sentence = f"no active for {found.seconds:.0f} s: {missing}"
        return HistoryEntry(0, wall, view.area, "standstill", "", "", 0, 0, found.seconds, missing, sentence)
    about = f"{active.replica} is active"
    sentence = f"active again after {found.seconds:.2f} s without an active: {active.replica}"
    return HistoryEntry(
        0, wall, view.area, "resumed", active.replica, "", active.term, active.tick, found.seconds, about, sentence
    )
