"""The Kubernetes events of an area; pure.

What happens to an area are entries of its history (`story`), which become events with the same sentences. What lasts
(a problem, a pause, the backup of an area that is deleted) is a part of the status, and becomes an event when the
status changes: so a controller that takes over the work does not repeat it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pairsim_controller.kube.api.objects import AreaStatus, Condition
from pairsim_controller.story.entry import EntryKind, HistoryEntry


class AreaEvent(msgspec.Struct, frozen=True):
    """An event to be emitted: `reason` in one word, `note` as a sentence."""

    reason: str
    note: str
    warning: bool = False


_EVENTS: dict[EntryKind, tuple[str, bool]] = {
    "founded": ("Ready", False),
    "takeover": ("Takeover", True),
    "switchover": ("Switchover", False),
    "standstill": ("NotReady", True),
    "resumed": ("Ready", False),
    "redundant": ("Redundant", False),
    "lost": ("NotRedundant", True),
    "restored": ("Redundant", False),
    "diverged": ("Diverged", True),
    "ordered": ("Ordered", False),
    "waiting": ("OutboxWaits", True),
    "flowing": ("OutboxFlows", False),
    "members": ("Founded", False),
    "replacing": ("Replacing", False),
    "adopted": ("Adopted", False),
    "released": ("Released", False),
}
"""The reason of the event for each kind of entry that becomes one, and whether it is a warning."""


def event_of(entry: HistoryEntry) -> AreaEvent | None:
    """Returns an entry of the history as an event; None for a kind that is not worth one."""
    if entry.kind not in _EVENTS:
        return None
    reason, warning = _EVENTS[entry.kind]
    took = f", after {1000 * entry.seconds:.1f} ms" if entry.before and entry.seconds else ""
    return AreaEvent(reason, entry.sentence + took, warning=warning)


_CONDITIONS = frozenset({"Waiting", "Slow", "Compiling", "Stuck", "Paused"})
"""The reasons of the condition `Degraded` that are events."""


def events_between(before: AreaStatus, after: AreaStatus) -> Iterator[AreaEvent]:
    """Yields the events that lead from one status to the next."""
    if after.backup and after.backup != before.backup:
        yield AreaEvent("BackedUp", f"its last state is kept in {after.backup}")
    old, new = before.condition("Degraded"), after.condition("Degraded")
    if new is not None and new.reason in _CONDITIONS and not _is_same(old, new):
        yield AreaEvent(new.reason, new.message, warning=new.reason != "Paused")
    if old is not None and old.reason == "Paused" and new is not None and new.reason != "Paused":
        yield AreaEvent("Resumed", "it is no longer paused")


def _is_same(old: Condition | None, new: Condition) -> bool:
    return old is not None and (old.reason, old.message) == (new.reason, new.message)
