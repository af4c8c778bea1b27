"""The Kubernetes events that follow from the difference between two statuses of an area; pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from pairsim_controller.kube.api.objects import AreaStatus, Condition


class AreaEvent(msgspec.Struct, frozen=True):
    """An event to be emitted: `reason` in one word, `note` as a sentence."""

    reason: str
    note: str
    warning: bool = False


def events_between(before: AreaStatus, after: AreaStatus) -> Iterator[AreaEvent]:
    """Yields the events that lead from one status to the next."""
    if after.backup and after.backup != before.backup:
        yield AreaEvent("BackedUp", f"its last state is kept in {after.backup}")
    yield from _membership(before, after)
    last = after.last_takeover
    if last is not None and last != before.last_takeover:
        took = "" if last.duration_ms is None else f", after {last.duration_ms:g} ms"
        note = f"{last.to} is active in place of {last.from_}, in term {after.term}{took}"
        yield AreaEvent(last.reason, note, warning=last.reason == "Takeover")
    yield from _transition(before, after, "Ready", "Ready", "NotReady")
    yield from _transition(before, after, "Redundant", "Redundant", "NotRedundant")
    old, new = before.condition("Degraded"), after.condition("Degraded")
    if new is not None and new.reason in {"Waiting", "Slow", "Paused"} and not _is_same(old, new):
        yield AreaEvent(new.reason, new.message, warning=new.reason != "Paused")
    if old is not None and old.reason == "Paused" and new is not None and new.reason != "Paused":
        yield AreaEvent("Resumed", "it is no longer paused")


def _membership(before: AreaStatus, after: AreaStatus) -> Iterator[AreaEvent]:
    old, new = before.assignment, after.assignment
    if new is None:
        if old is not None:
            yield AreaEvent("Released", "no process holds it any more")
        return
    if old == new:
        return
    names = " and ".join(m.replica for m in new.replicas)
    if old is None and new.generation == 1:
        yield AreaEvent("Founded", f"founded with {names}, witness {new.witness.replica}")
    elif old is None or new.generation < old.generation or not new.joins:
        yield AreaEvent("Adopted", f"generation {new.generation} is in force: {names}, witness {new.witness.replica}")
    else:
        yield AreaEvent("Replacing", f"generation {new.generation}: {names}, witness {new.witness.replica}")


def _transition(before: AreaStatus, after: AreaStatus, kind: str, good: str, bad: str) -> Iterator[AreaEvent]:
    """Yields an event if the condition of this kind became true or stopped being true."""
    old, new = before.condition(kind), after.condition(kind)
    if new is None or (old is None and new.status != "True") or (old is not None and old.status == new.status):
        return
    fine = new.status == "True"
    yield AreaEvent(good if fine else bad, new.message, warning=not fine)


def _is_same(old: Condition | None, new: Condition) -> bool:
    return old is not None and (old.reason, old.message) == (new.reason, new.message)
