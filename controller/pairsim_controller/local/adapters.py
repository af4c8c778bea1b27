"""The adapters of the reconciler on one machine: a data folder, labels in memory, and entries of the history.

They implement `reconcile.ports`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence

from pairsim.client import ProcessClient
from pairsim.model.authority import PlaneMap
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.plan.authority import MapRecord
from pairsim_controller.plan.fleet_index import DesiredArea, FleetIndex
from pairsim_controller.plan.view import Report, Request, SetLabel, View
from pairsim_controller.reconcile.backup_folder import BackupError
from pairsim_controller.reconcile.dispatcher import Dispatcher
from pairsim_controller.reconcile.warning_debouncer import WarningDebouncer
from pairsim_controller.story.area_story import AreaStory
from pairsim_controller.story.history import History
from pairsim_controller.story.membership import membership_entry

_NO_MAP = MapRecord()


class LocalRecordStore:
    """Assignments, and the names of backups, in the files of the data folder.

    Attributes:
        stored: The assignments on disk, by area.
        backups: The file with the last state of each area that is being released, as it is on disk.
    """

    def __init__(self, folder: DataFolder, index: FleetIndex, history: History) -> None:
        """Reads the files.

        Raises:
            FolderError: The records in the folder cannot be read.
        """
        self._folder, self._index, self._history = folder, index, history
        self.stored = folder.assignments()
        self.backups = {area: file for area, file in folder.backup_files().items() if area in self.stored}

    def manages(self, area: str) -> bool:
        """Returns True: all processes of the pool belong to this world."""
        return True

    def claimed(self, area: str) -> bool:
        """Returns True: only this controller can remove an area."""
        return True

    async def claim(self, area: str) -> None:
        """Does nothing: no other user could delete an area."""

    async def write(self, view: View) -> None:
        """Writes the assignment of a view to disk, unless it is there. Raises OSError."""
        area, recorded, before = view.area, view.recorded, self.stored.get(view.area)
        if recorded == before:
            return
        stored = {name: assignment for name, assignment in self.stored.items() if name != area}
        if recorded is not None:
            stored[area] = recorded
        self._folder.write_assignments(stored)
        self.stored = stored
        entry = membership_entry(area, before, recorded, time.time(), view.replaced_because)
        self._history.extend([entry] if entry is not None else [])

    async def forget(self, area: str) -> None:
        """Removes an area from the desired state, and the name of its backup from disk. Raises OSError."""
        self._write_backups({name: file for name, file in self.backups.items() if name != area})
        self._index.set_desired(area, None)

    def write_backup(self, area: str, file: str) -> None:
        """Notes on disk that the last state of an area is in a file, so that its members may go. Raises OSError."""
        self._write_backups({**self.backups, area: file})
        self._index.set_desired(area, DesiredArea(None))

    def _write_backups(self, backups: dict[str, str]) -> None:
        if backups != self.backups:
            self._folder.write_backup_files(backups)
            self.backups = backups


class LocalMapStore:
    """The records of the maps in a file of the data folder."""

    def __init__(self, folder: DataFolder) -> None:
        """Reads the file.

        Raises:
            FolderError: The records in the folder cannot be read.
        """
        self._folder = folder
        self._stored = folder.maps()

    def recorded(self, plane: str) -> MapRecord:
        """Returns the record of a plane as it is on disk."""
        return self._stored.get(plane, _NO_MAP)

    async def write(self, record: MapRecord, made: PlaneMap) -> None:
        """Writes the record of a map to disk. Raises OSError."""
        stored = {**self._stored, made.plane: record}
        self._folder.write_maps(stored)
        self._stored = stored


class LocalLabelWriter:
    """Labels that exist only in the index."""

    def __init__(self, index: FleetIndex) -> None:
        self._index = index

    async def apply(self, change: SetLabel) -> None:
        """Sets the labels of a process."""
        self._index.set_label(change.replica, change.label)


class LocalProcessGateway:
    """Requests to the processes of the pool."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def all_heard(self) -> bool:
        """Returns True: a process that cannot be reached yet does not look like a spare."""
        return True

    def dispatch(self, request: Request) -> None:
        """Sends a request in the background."""
        self._dispatcher.dispatch(request)

    def failing(self, area: str, now: float, busy: Collection[str]) -> Iterable[Report]:
        """Returns a report for each request about an area that fails again and again."""
        return self._dispatcher.failing(area, now, busy)


class LocalReporter:
    """What happens, and problems that last, as entries of the history.

    Attributes:
        warnings: The problems of all areas.
    """

    def __init__(self, history: History, log_of: Callable[[str], str]) -> None:
        """`log_of` returns the path of the log of a process."""
        self._history, self._log_of = history, log_of
        self._began = time.monotonic()
        self.warnings = WarningDebouncer()
        self._reports: dict[str, list[Report]] = {}
        self._stories: dict[str, AreaStory] = {}

    @property
    def due_at(self) -> float | None:
        """The monotonic time at which an area has to be observed although nothing changes; None if none has to."""
        return min((at for story in self._stories.values() if (at := story.due_at) is not None), default=None)

    def observe(self, view: View, now: float) -> None:
        """Adds what follows from a view of an area to the history."""
        story = self._stories.get(view.area)
        if story is None:
            story = self._stories[view.area] = AreaStory(view.area, began=self._began, log_of=self._log_of)
        self._history.extend(story.observe(view, now, time.time()).entries)

    def publish(self, area: str, reports: Sequence[Report], now: float) -> None:
        """Takes in the problems of an area; `announce_warnings` announces them."""
        self._reports[area] = list(reports)

    def add(self, area: str, report: Report) -> None:
        """Adds a problem to those that were published of an area."""
        self._reports.setdefault(area, []).append(report)

    def announce_warnings(self, now: float) -> None:
        """Announces the problems of all areas that have lasted long enough."""
        reports = [report for reports in self._reports.values() for report in reports]
        for warning in self.warnings.new_warnings(reports, now):
            if not self._is_told(warning):
                self._history.note("problem", warning.area, warning.message)

    def _is_told(self, warning: Report) -> bool:
        """Returns whether the newest entry about the redundancy of the area has the same sentence as its cause."""
        entries = (entry for entry in reversed(self._history.entries) if entry.area == warning.area)
        newest = next((entry for entry in entries if entry.kind in {"lost", "redundant", "restored"}), None)
        return newest is not None and newest.kind == "lost" and warning.message in newest.sentence


class LocalBackupStore:
    """Backups of released areas in the data folder."""

    def __init__(self, folder: DataFolder, records: LocalRecordStore, history: History) -> None:
        self._folder, self._records, self._history = folder, records, history

    async def back_up(self, client: ProcessClient, area: str) -> None:
        """Writes the backup, then its name; members are released after that.

        Raises:
            BackupError, ClientError: The backup failed.
        """
        file = await self._folder.backups.write(client, area)
        try:
            self._records.write_backup(area, file)
        except OSError as error:
            raise BackupError(f"cannot write {self._folder.path}: {error.strerror}") from error
        self._history.note("backup", area, f"its last state is kept in {self._folder.backups.path / file}")
