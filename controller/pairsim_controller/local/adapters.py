"""The adapters of the reconciler on one machine: a data folder, labels in memory, and sentences for the terminal.

They implement `reconcile.ports`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pairsim.client import ProcessClient
from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.local.process_pool import ProcessPool
from pairsim_controller.local.status_watchers import StatusWatchers
from pairsim_controller.plan.fleet_index import DesiredArea, FleetIndex
from pairsim_controller.plan.view import Report, Request, SetLabel, View
from pairsim_controller.reconcile.backup_folder import BackupError
from pairsim_controller.reconcile.dispatcher import Dispatcher
from pairsim_controller.reconcile.warning_debouncer import WarningDebouncer

Announce = Callable[[str], None]
"""Shows a sentence to the user."""


class LocalRecordStore:
    """Assignments, and the names of backups, in the files of the data folder.

    Attributes:
        stored: The assignments on disk, by area.
        backups: The file with the last state of each area that is being released, as it is on disk.
    """

    def __init__(self, folder: DataFolder, index: FleetIndex, announce: Announce) -> None:
        """Reads the files.

        Raises:
            FolderError: The records in the folder cannot be read.
        """
        self._folder, self._index, self._announce = folder, index, announce
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
        if recorded is None:
            self._announce(f"{area}: no process holds it any more")
        elif before is None or recorded.generation > before.generation:
            self._announce(f"{area}: {_membership(recorded)}")

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


def _membership(assignment: Assignment) -> str:
    names = " and ".join(m.replica for m in assignment.replicas)
    kind = "founded with" if assignment.generation == 1 else f"generation {assignment.generation}:"
    return f"{kind} {names}, witness {assignment.witness.replica}"


class LocalLabelWriter:
    """Labels that exist only in the index; a change of the active is announced."""

    def __init__(self, index: FleetIndex, watchers: StatusWatchers, announce: Announce) -> None:
        self._index, self._watchers, self._announce = index, watchers, announce
        self._actives: dict[str, str] = {}

    async def apply(self, change: SetLabel) -> None:
        """Sets the labels of a process."""
        self._index.set_label(change.replica, change.label)
        if change.label.role is Role.ACTIVE:
            self._announce_active(change)

    def _announce_active(self, change: SetLabel) -> None:
        label, name = change.label, change.replica
        before = self._actives.get(label.area)
        self._actives[label.area] = name
        status = self._watchers.replica_status(name)
        if status is not None and status.term != label.term:
            status = None
        at = f" at tick {status.tick}" if status is not None else ""
        if before == name:
            self._announce(f"{label.area}: {name} stays active, in term {label.term}{at}")
        else:
            why = f" ({status.succession})" if status is not None and status.succession is not None else ""
            place = f" in place of {before}{why}" if before is not None else ""
            self._announce(f"{label.area}: {name} is active{place}, in term {label.term}{at}")


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

    def failing(self, area: str, now: float) -> Iterable[Report]:
        """Returns a report for each request about an area that fails again and again."""
        return self._dispatcher.failing(area, now)


class LocalReporter:
    """Problems as sentences for the terminal: each once, and only if it lasts."""

    def __init__(self, pool: ProcessPool, announce: Announce) -> None:
        self._pool, self._announce = pool, announce
        self.warnings = WarningDebouncer()
        self._reports: dict[str, list[Report]] = {}
        self._divergences: dict[str, tuple[int, int]] = {}

    def observe(self, view: View, now: float) -> None:
        """Announces replicas of an area whose state differed from that of the active."""
        for name, process in view.processes.items():
            if process.replica is not None:
                self._observe_replica(name, process.replica)

    def _observe_replica(self, name: str, status: ReplicaStatus) -> None:
        pid, before = self._divergences.get(name, (0, 0))
        self._divergences[name] = status.pid, status.divergences
        if status.divergences > (before if pid == status.pid else 0):
            folder = self._pool.processes[name].folder
            self._announce(
                f"{status.area}: {name} came to another state than the active: its simulator's step is not"
                f" deterministic (log: {folder / 'log'})"
            )

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
            self._announce(f"{warning.area}: {warning.message}")


class LocalBackupStore:
    """Backups of released areas in the data folder."""

    def __init__(self, folder: DataFolder, records: LocalRecordStore, announce: Announce) -> None:
        self._folder, self._records, self._announce = folder, records, announce

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
        self._announce(f"{area}: its last state is kept in {self._folder.backups.path / file}")
