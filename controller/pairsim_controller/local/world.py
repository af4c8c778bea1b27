"""A world on this machine: its process pool, the statuses of its processes, and the loop that reconciles its areas.

The loop is as simple as it can be. When a status changed, or after half a second, it puts the present state of all
processes into the fleet index, runs one round of each area that is due, and issues the maps of the planes.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.authority import WorldMap
from pairsim_controller.local.adapters import (
    LocalBackupStore,
    LocalLabelWriter,
    LocalMapStore,
    LocalProcessGateway,
    LocalRecordStore,
    LocalReporter,
)
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.local.process_pool import ProcessPool
from pairsim_controller.local.restart_backoff import HEALTHY_SECONDS
from pairsim_controller.local.status_watchers import StatusWatchers
from pairsim_controller.plan.fleet_index import NO_AREA, DesiredArea, FleetIndex
from pairsim_controller.plan.view import Label, ObservedProcess, Report
from pairsim_controller.reconcile.dispatcher import Dispatcher
from pairsim_controller.reconcile.map_issuer import MapIssuer
from pairsim_controller.reconcile.reconciler import Reconciler
from pairsim_controller.story.history import History

RECHECK_SECONDS = 0.5
"""Seconds between two rounds of an area if no event comes in between."""


class LocalWorld:
    """Keeps `areas` simulated by the processes of a pool.

    Attributes:
        areas: The areas of the world file.
        pool: The processes.
        history: What happens in the world.
        changed: Set when a round may be due.
        watchers: The status watcher of each process, by name.
        command_options: What a user adds to commands so that they reach this world.
    """

    def __init__(
        self,
        areas: tuple[AreaSpec, ...],
        pool: ProcessPool,
        folder: DataFolder,
        history: History,
        *,
        warm_engines: bool = False,
        command_options: str = "",
    ) -> None:
        """Reads the records.

        Args:
            areas: The areas of the world file.
            pool: The processes.
            folder: The records.
            history: Receives what happens.
            warm_engines: Whether spares keep engines ready.
            command_options: What a user adds to commands so that they reach this world, such as " --port 8081".

        Raises:
            FolderError: The records in the folder cannot be read.
        """
        self.areas, self.pool, self.history = areas, pool, history
        self.command_options = command_options
        self.changed = asyncio.Event()
        self.watchers = StatusWatchers()
        self._folder = folder
        self._due: set[str] = set()
        self._heard: dict[str, int] = {}
        self._all_due_at = 0.0
        self._index = index = FleetIndex(self._on_area_change)
        self._records = records = LocalRecordStore(folder, index, history)
        for spec in areas:
            index.set_desired(spec.area, DesiredArea(spec, warm_engines=warm_engines, command_options=command_options))
        wanted = {spec.area for spec in areas}
        for area, assignment in records.stored.items():
            index.set_record(area, assignment)
            if area not in wanted:
                index.set_desired(area, DesiredArea(None, backup_pending=area not in records.backups))
        self._dispatcher = Dispatcher(self.watchers.client, LocalBackupStore(folder, records, history))
        self._reports = LocalReporter(history, self._log_of)
        processes = LocalProcessGateway(self._dispatcher)
        self._reconciler = Reconciler(
            index, records=records, labels=LocalLabelWriter(index), processes=processes, reports=self._reports
        )
        specs = (*areas, *(assignment.spec for assignment in records.stored.values()))
        self._planes = sorted({spec.plane for spec in specs})
        self._issuer = MapIssuer(index, store=LocalMapStore(folder), processes=processes)
        self._map_due: dict[str, float] = {}
        self._told: dict[str, tuple[str, ...]] = {}

    @property
    def recorded(self) -> dict[str, Assignment]:
        """The newest assignments on disk, by area."""
        return self._records.stored

    @property
    def labels(self) -> dict[str, Label]:
        """The labels by replica."""
        return self._index.labels()

    @property
    def maps(self) -> WorldMap:
        """The newest maps of all planes."""
        return self._issuer.world_map()

    def find_replica(self, area: str, role: str) -> str | None:
        """Returns the name of the process that has a role in an area (`witness` as well), or None."""
        if role == "witness":
            recorded = self.recorded.get(area)
            return recorded.witness.replica if recorded else None
        found = [
            (status.term, name)
            for name in self.watchers
            if (status := self.watchers.replica_status(name)) is not None
            and status.area == area
            and status.role == role
        ]
        return max(found)[1] if found else None

    async def run(self) -> None:
        """Runs the loop; ends by cancellation."""
        self.watchers.start(self.pool, self._folder.token, self.changed.set)
        try:
            while True:
                await self._reconcile_due()
                await asyncio.sleep(0)  # a round that is due at once must not keep the statuses out
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_seconds(time.monotonic())):
                        await self.changed.wait()
                self.changed.clear()
        finally:
            await self._dispatcher.close()
            await self.watchers.close()

    def _pause_seconds(self, now: float) -> float:
        """Returns the seconds until the next round if nothing changes before."""
        times = [*self._map_due.values(), *([at] if (at := self._reports.due_at) is not None else [])]
        return min([RECHECK_SECONDS, *(max(0.0, at - now) for at in times)])

    async def _reconcile_due(self) -> None:
        now = time.monotonic()
        self._observe_processes(now)
        due_at = self._reports.due_at
        if now >= self._all_due_at or (due_at is not None and now >= due_at):
            self._all_due_at = now + RECHECK_SECONDS
            self._due |= self._index.areas() | {NO_AREA}
        due, self._due = self._due, set()
        for area in sorted(due):
            try:
                await self._reconciler.reconcile(area)
            except OSError as error:  # a full disk must not end a world that runs
                self._reports.add(area, self._unwritable(error))
        for plane in self._planes:
            await self._issue_map(plane)
        self._reports.announce_warnings(time.monotonic())

    async def _issue_map(self, plane: str) -> None:
        reports = []
        try:
            due = await self._issuer.issue(plane)
        except OSError as error:
            due = RECHECK_SECONDS
            reports.append(self._unwritable(error))
        now = time.monotonic()
        self._reports.publish(f"plane {plane}", reports, now)
        self._map_due.pop(plane, None)
        if due is not None:
            self._map_due[plane] = now + due
        notes, told = self._issuer.notes(plane), self._told.get(plane, ())
        for note in notes:
            if note not in told:
                self.history.note("world", "", note)
        self._told[plane] = notes

    def _unwritable(self, error: OSError) -> Report:
        problem = f"cannot write {self._folder.path}: {error.strerror}"
        return Report("world", f"{problem}; no change is made until the disk can be written")

    def _observe_processes(self, now: float) -> None:
        for name, process in self.pool.processes.items():
            kind, alive = process.spec.kind, process.pid is not None
            starts, note = process.restarts, self.note(name)
            self._index.set_process(
                ObservedProcess(
                    name=name,
                    kind=kind,
                    peer=process.peer,
                    url=process.url,
                    alive=alive,
                    starts=starts,
                    note=note,
                    starting=self._is_starting(name),
                )
            )
            watcher = self.watchers.get(name)
            if watcher is not None:
                self._index.on_status(name, watcher.status, now - watcher.silent_seconds)

    def note(self, name: str) -> str:
        """Returns a predicate about a process that starts or has ended lately; empty for any other process."""
        process, watcher = self.pool.processes.get(name), self.watchers.get(name)
        if process is None or watcher is None:
            return ""
        starting = self._is_starting(name)
        if process.failure and (starting or process.uptime < HEALTHY_SECONDS):
            return process.failure
        return "is starting" if starting else ""

    def _is_starting(self, name: str) -> bool:
        """Returns whether a process runs and has not been heard since it was started."""
        process, watcher = self.pool.processes.get(name), self.watchers.get(name)
        if process is None or process.pid is None or watcher is None:
            return False
        if watcher.status is not None:
            self._heard[name] = process.restarts
        return self._heard.get(name) != process.restarts

    def _on_area_change(self, area: str) -> None:
        self._due.add(area)
        self.changed.set()

    def _log_of(self, name: str) -> str:
        process = self.pool.processes.get(name)
        return str(process.folder / "log") if process is not None else ""
