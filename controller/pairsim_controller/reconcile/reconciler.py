"""The one reconciler: a round brings one area closer to its desired state, in a cluster and on one machine.

A round has these steps:

1. **Labels.** Take a view, apply the label changes that `plan_labels` returns, and repeat with a new view until it
   returns nothing. Each repetition starts from the labels that were acknowledged: a demotion that failed ends the round
   before the promotion that waits for it. Labels come first because Services follow them, and they depend on nothing
   below.
2. **Decision.** `decide` returns the actions for the last view. What they record is put into the fleet index at once,
   before anything is awaited: a spare that is promised to this area is offered to no other one.
3. **Record.** The decision is made durable. If that fails, the round ends; the next round writes it again first.
4. **Requests.** Only now are processes asked for anything.
5. **Reports.** All problems are published, whether the round succeeded or not.

Rounds of different areas may run at the same time; rounds of one area must not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from pairsim_controller.plan.area import decide
from pairsim_controller.plan.fleet_index import NO_AREA, FleetIndex
from pairsim_controller.plan.labels import plan_labels
from pairsim_controller.plan.view import (
    Action,
    AdoptReported,
    Assign,
    DropRecord,
    Report,
    Request,
    SetLabel,
    View,
)
from pairsim_controller.reconcile.ports import LabelWriter, ProcessGateway, RecordStore, Reporter

_MAX_LABEL_CHANGES = 4
"""Label changes in one round, each of several labels: a demotion and a promotion take two."""

SPARES_AT_ONCE = 16
"""Spares that are labelled side by side. Each write in flight takes a connection, whose buffers take 256 KiB, and the
labels of areas and the renewal of the lease must not wait until a thousand new spares are labelled."""


class Reconciler:
    """Reconciles areas, one a call, through the ports of an adapter."""

    def __init__(
        self,
        index: FleetIndex,
        *,
        records: RecordStore,
        labels: LabelWriter,
        processes: ProcessGateway,
        reports: Reporter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is the clock of the times that the index receives."""
        self._index, self._clock = index, clock
        self._records, self._labels = records, labels
        self._processes, self._reports = processes, reports

    async def reconcile(self, area: str) -> bool:
        """Runs one round of an area; if `area` is `NO_AREA`, labels the spares, and says what engines they keep.

        Returns whether the area is as it should be. If not, or after an error, another round is due soon, even without
        an event.
        """
        if area == NO_AREA:
            for request in self._index.warm_engine_requests():
                self._processes.dispatch(request)
            await self._label_spares()
            return True
        view = await self._reconcile_labels(area)
        if not self._records.manages(area):
            return True
        problems: list[Report] = []
        try:
            if (
                view.spec is not None
                and not view.paused
                and not view.blocked_reason
                and not self._records.claimed(area)
            ):
                await self._records.claim(area)
                view = self._view(area)
            return await self._carry_out(view, self._decide(view), problems)
        finally:
            now = self._clock()
            problems += self._processes.failing(area, now, view.busy_starting)
            self._reports.publish(area, problems, now)
            self._index.await_capacity(area, [report.needs for report in problems if report.needs is not None])

    # --- labels

    async def _label_spares(self) -> None:
        """Tries to label every spare that lacks a label, a few at a time; raises the first error at the end.

        The missing labels are read anew each time: a spare may have become a member of an area meanwhile.
        """
        tried: set[str] = set()
        errors: list[BaseException] = []
        while missing := [change for change in self._index.missing_spare_labels() if change.replica not in tried]:
            changes = missing[:SPARES_AT_ONCE]
            tried.update(change.replica for change in changes)
            errors += await self._attempt(changes)
        if errors:
            raise errors[0]

    async def _reconcile_labels(self, area: str) -> View:
        """Changes labels until none remain to be changed; returns a view of the result."""
        for _ in range(_MAX_LABEL_CHANGES):
            view = self._view(area)
            self._reports.observe(view, self._clock())
            changes = plan_labels(view)
            if not changes:
                return view
            await self._apply(changes)
        return self._view(area)

    async def _apply(self, changes: Iterable[SetLabel]) -> None:
        """Applies changes side by side: `plan_labels` returns only changes that are safe in any order.

        Waits for all of them, and raises the first error.
        """
        errors = await self._attempt(changes)
        if errors:
            raise errors[0]

    async def _attempt(self, changes: Iterable[SetLabel]) -> list[BaseException]:
        """Applies changes side by side; returns the errors of those that failed."""
        results = await asyncio.gather(*map(self._labels.apply, changes), return_exceptions=True)
        return [result for result in results if result is not None]

    # --- decisions

    def _view(self, area: str) -> View:
        return self._index.view(area, self._clock(), may_bootstrap=self._processes.all_heard())

    def _decide(self, view: View) -> tuple[Action, ...]:
        """Returns the actions for a view, after the index has taken in what they record.

        Nothing is awaited between the view and the end of this method.
        """
        actions = decide(view)
        for action in actions:
            if isinstance(action, Assign | AdoptReported):
                self._index.set_record(view.area, action.assignment)
                if isinstance(action, Assign) and action.stall is not None:
                    self._index.on_stall(view.area, action.stall, self._clock())
            elif isinstance(action, DropRecord):
                self._index.set_record(view.area, None)
        return actions

    async def _carry_out(self, view: View, actions: tuple[Action, ...], problems: list[Report]) -> bool:
        """Records, then sends; returns whether the area is as it should be."""
        problems += [action for action in actions if isinstance(action, Report)]
        view = view.with_record(self._index.record(view.area), self._index.replaced_because(view.area))
        await self._records.write(view)
        for action in actions:
            if isinstance(action, Request):
                self._processes.dispatch(action)
        if actions:
            return False
        if view.spec is None and view.recorded is None and not view.processes:
            await self._records.forget(view.area)
        waits_for_processes = view.spec is not None and view.recorded is None and not view.may_bootstrap
        return not waits_for_processes and all(process.reachable for process in view.processes.values())
