"""The probe: sends commands to every area of a world and observes all of its processes while experiments run."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

from pairsim.client import ClientError
from pairsim_chaos.probe.area_evidence import AreaEvidence, AreaFindings
from pairsim_chaos.probe.observer import ProcessObserver
from pairsim_chaos.probe.writer import Writer, list_entities, remove_entities
from pairsim_chaos.target import Target, WorldError, WorldSnapshot

_POLL_SECONDS = 0.25
_LOOKS = 8
"""How often the areas are read again while entities seem to be missing, or to be there twice."""
_EVIDENCE_SECONDS = 5.0
"""How much longer a short run may take until both replicas of each area have reported digests of the same ticks."""


class Probe:
    """A probe of one target; use it as an async context manager.

    Attributes:
        snapshot: The newest snapshot of the world.
        lost_at: When an area was first seen without redundancy, in seconds of the loop's clock; 0 if that never
            happened.
        redundant_at: Since when all areas have been seen redundant, in seconds of the loop's clock; 0 if one is not.
        remains: A sentence for each area in which entities of the probe may remain after its end.
    """

    def __init__(self, target: Target) -> None:
        """Creates a probe that has not sent anything yet."""
        self._target = target
        self._evidence: dict[str, AreaEvidence] = {}
        self._uncleared: list[AreaEvidence] = []
        self._writers: dict[tuple[str, int], Writer] = {}
        self._writer_tasks: list[asyncio.Task[None]] = []
        self._observers: dict[str, asyncio.Task[None]] = {}
        self._watches: list[asyncio.Task[None]] = []
        self.snapshot = WorldSnapshot((), ())
        self.lost_at = self.redundant_at = 0.0
        self.remains: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        """Starts the observers and writers.

        Raises:
            WorldError: The world does not answer, or its simulators do not run yet.
        """
        loop = asyncio.get_running_loop()
        self.snapshot = await self._target.snapshot()
        if self.snapshot.areas and not self.snapshot.simulator_urls:
            raise WorldError("no simulator of the world runs yet")
        for view in self.snapshot.areas:
            self._evidence[view.area] = AreaEvidence(view.area, view.bounds, now=loop.time(), unix=time.time())
        self._uncleared = list(self._evidence.values())
        self._update_observers()
        for view in self.snapshot.areas:
            for number, urls in enumerate(_url_orders(self.snapshot, view.area)):
                writer = Writer(self._evidence[view.area], urls, number)
                self._writers[view.area, number] = writer
                self._writer_tasks.append(asyncio.create_task(writer.run()))
        self._watches = [
            asyncio.create_task(self._poll()),
            asyncio.create_task(self._target.watch_labels(self._on_labels)),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_writers()
        await self._remove_entities()
        tasks = [*self._observers.values(), *self._watches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def on_fault(self) -> None:
        """Notes that a fault is injected now; an area that acknowledges nothing after it has proved nothing."""
        for evidence in self._evidence.values():
            evidence.availability.on_fault(asyncio.get_running_loop().time())

    async def findings(self) -> tuple[AreaFindings, ...]:
        """Compares the state of each area with the acknowledged commands while commands go on.

        All areas are read concurrently, so that a slow area does not delay the others.
        """
        return tuple(await asyncio.gather(*map(self._reconcile, self._evidence.values())))

    async def conclude(self) -> tuple[AreaFindings, ...]:
        """Stops the writers, returns the final findings, and removes the probe's entities.

        Raises:
            WorldError: A part of the probe has failed before, so that the findings would lack its evidence.
        """
        self.check_running()
        await self._stop_writers()
        now = asyncio.get_running_loop().time()
        for evidence in self._evidence.values():
            evidence.availability.on_end(now)
        for _ in range(int(_EVIDENCE_SECONDS / _POLL_SECONDS)):
            if all(evidence.digests.compared for evidence in self._evidence.values()):
                break
            await asyncio.sleep(_POLL_SECONDS)
        found = await self.findings()
        await self._remove_entities()
        return found

    async def _remove_entities(self) -> None:
        """Removes the probe's entities once, also when the probe is aborted."""
        uncleared, self._uncleared = self._uncleared, []
        urls = self.snapshot.simulator_urls
        reasons = await asyncio.gather(*(remove_entities(urls, each) for each in uncleared))
        self.remains += tuple(
            f"{each.area}: entities of the probe may remain in the area, because {reason}"
            for each, reason in zip(uncleared, reasons, strict=True)
            if reason
        )

    async def _reconcile(self, evidence: AreaEvidence) -> AreaFindings:
        expected, reconciliation, unread_reason = evidence.ledger.expectation(), None, ""
        try:
            reconciliation = evidence.ledger.reconcile(await self._list(evidence), expected)
            for _look in range(_LOOKS):
                if reconciliation.sound:
                    break
                await asyncio.sleep(_POLL_SECONDS)
                again = evidence.ledger.reconcile(await self._list(evidence), expected)
                reconciliation = reconciliation.agreed(again)
        except (ClientError, TimeoutError) as error:
            unread_reason = str(error) or "no replica has the tick of the last acknowledgement"
        return evidence.findings(reconciliation, unread_reason, asyncio.get_running_loop().time())

    async def _list(self, evidence: AreaEvidence) -> list[int]:
        """Returns the probe's entities of an area, wherever they are: they may have crossed its borders."""
        urls, views = self.snapshot.simulator_urls, self.snapshot.areas
        plane = next((view.plane for view in views if view.area == evidence.area), "")
        others = [view.area for view in views if view.plane == plane and view.area != evidence.area]
        listed = await asyncio.gather(
            list_entities(urls, evidence), *(list_entities(urls, evidence, other) for other in others)
        )
        return [entity for found in listed for entity in found]

    @property
    def areas(self) -> set[str]:
        """Returns the names of the probed areas."""
        return set(self._evidence)

    @property
    def redundancy_gap(self) -> str:
        """Returns why the probed areas were not redundant in the newest snapshot; empty if they were."""
        gone = sorted(self.areas - {view.area for view in self.snapshot.areas})
        gaps = [redundancy_gap(self.snapshot), *(f"{area}: the area does not exist any more" for area in gone)]
        return "; ".join(filter(None, gaps))

    def current_violation(self) -> str:
        """Returns a violation that is known without reading the state; empty if all invariants hold."""
        now = asyncio.get_running_loop().time()
        for evidence in self._evidence.values():
            violation = evidence.current_violation(now)
            if violation:
                return violation
        return ""

    async def refresh(self) -> str:
        """Takes a snapshot now, and returns why that failed; the old snapshot stays if the world does not answer."""
        try:
            self._on_snapshot(await self._target.snapshot())
        except WorldError as error:
            return str(error)
        return ""

    def check_running(self) -> None:
        """Checks that nothing has stopped to send or to observe, because the findings would lack its evidence.

        Raises:
            WorldError: A task of the probe failed.
        """
        tasks = [*self._writer_tasks, *self._observers.values(), *self._watches]
        errors = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        errors += [writer.failure for writer in self._writers.values()]
        for error in errors:
            if error is not None:
                raise WorldError(f"the probe failed, so that nothing is known: {error!r}") from error

    async def _stop_writers(self) -> None:
        for task in self._writer_tasks:
            task.cancel()
        await asyncio.gather(*self._writer_tasks, return_exceptions=True)
        await asyncio.gather(*(writer.finish() for writer in self._writers.values()))
        self._writer_tasks, self._writers = [], {}

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            await self.refresh()

    def _on_snapshot(self, snapshot: WorldSnapshot) -> None:
        now = asyncio.get_running_loop().time()
        self.snapshot = snapshot
        if self.redundancy_gap:
            self.lost_at, self.redundant_at = self.lost_at or now, 0.0
        else:
            self.redundant_at = self.redundant_at or now
        self._update_observers()
        self._update_writers()

    def _update_writers(self) -> None:
        """Gives the writers the current addresses; without any, they keep the old ones.

        Pods come and go; even all pods of the first snapshot may be replaced.
        """
        if self.snapshot.simulator_urls:
            for (area, number), writer in self._writers.items():
                writer.update_urls(_url_orders(self.snapshot, area)[number])

    def _update_observers(self) -> None:
        """Starts an observer for every new simulator, and stops those of simulators that are gone."""
        urls = set(self.snapshot.simulator_urls)
        for url in urls - self._observers.keys():
            self._observers[url] = asyncio.create_task(ProcessObserver(url, self._evidence.get).run())
        for url in self._observers.keys() - urls:
            self._observers.pop(url).cancel()

    def _on_labels(self, area: str, active: frozenset[str]) -> None:
        evidence = self._evidence.get(area)
        if evidence is not None:
            evidence.labels.on_labels(active)


def redundancy_gap(snapshot: WorldSnapshot) -> str:
    """Returns why a world is not redundant; empty if all of its areas are redundant."""
    gaps = [view for view in snapshot.areas if not view.redundant]
    return "; ".join(f"{view.area}: {view.redundancy_gap or 'the area is not redundant'}" for view in gaps)


def _url_orders(snapshot: WorldSnapshot, area: str) -> tuple[tuple[str, ...], ...]:
    """Returns all simulators in two orders: the area's active first, and its passive first."""
    orders = []
    for role in ("active", "passive"):
        first = [pod.url for pod in snapshot.pods if pod.area == area and pod.role == role and pod.url]
        orders.append((*first, *(url for url in snapshot.simulator_urls if url not in first)))
    return tuple(orders)
