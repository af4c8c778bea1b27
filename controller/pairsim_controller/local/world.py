"""A world on this machine: the pool, what its processes say, and the loop that makes the world so.

The loop is as simple as it can be: something changed, or half a second passed; look, decide, act.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

import structlog

from pairsim.client.client import AreaClient
from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, WitnessStatus
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.local.process_pool import ProcessPool
from pairsim_controller.plan.area import decide
from pairsim_controller.plan.fleet_index import POOL, Index, Wanted
from pairsim_controller.plan.view import (
    Action,
    Adopt,
    Assign,
    BackUp,
    Forget,
    Label,
    Process,
    Release,
    Remind,
    Say,
    SetLabel,
    Switchover,
)
from pairsim_controller.reconcile.backup_folder import BackupError
from pairsim_controller.reconcile.dispatcher import Orders
from pairsim_controller.reconcile.status_watcher import Observer
from pairsim_controller.reconcile.warning_debouncer import Complaints

log = structlog.get_logger()

PERIOD = 0.5


class LocalWorld:
    """Makes `areas` so, with the processes of a pool."""

    def __init__(
        self, areas: tuple[AreaSpec, ...], pool: ProcessPool, folder: DataFolder, story: Callable[[str], None]
    ) -> None:
        """`story` is told what happens, in sentences for a human.

        Raises:
            FolderError: The records in the folder cannot be read.
        """
        self.areas, self.pool = areas, pool
        self._folder, self._story = folder, story
        self.changed = asyncio.Event()
        self.observers: dict[str, Observer] = {}
        self._due: set[str] = set()
        self._all_due = 0.0
        self._said: dict[str, list[Say]] = {}
        self._actives: dict[str, str] = {}
        self._diverged: dict[str, tuple[int, int]] = {}
        self._index = Index(self._touch)
        for spec in areas:
            self._index.want(spec.area, Wanted(spec))
        recorded, wanted = folder.assignments(), {spec.area for spec in areas}
        self._saved = {area: file for area, file in folder.backup_files().items() if area in recorded}
        for area, assignment in recorded.items():
            self._index.record(area, assignment)
            if area not in wanted:
                self._index.want(area, Wanted(None, unsaved=area not in self._saved))
        self._orders = Orders(self._client, self._keep)
        self._complaints = Complaints()

    @property
    def recorded(self) -> dict[str, Assignment]:
        """The newest assignment that was decided, by area."""
        return self._index.records()

    @property
    def labels(self) -> dict[str, Label]:
        """By replica."""
        return self._index.labels()

    async def run(self) -> None:
        """The loop; ends by cancellation."""
        for name, process in self.pool.processes.items():
            self.observers[name] = Observer(name, process.url, process.spec.kind, self._folder.token, self.changed.set)
        try:
            while True:
                self._turn()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PERIOD):
                        await self.changed.wait()
                self.changed.clear()
        finally:
            await self._orders.close()
            for observer in self.observers.values():
                await observer.close()

    def _turn(self) -> None:
        """Looks, decides and acts; an action that fails is decided again."""
        now = time.monotonic()
        self._look(now)
        if now >= self._all_due:
            self._all_due = now + PERIOD
            self._due = self._index.areas() | {POOL}
        due, self._due = self._due, set()
        for area in sorted(due):
            self._said[area] = list(self._decided(area, now))
        said = [say for about in self._said.values() for say in about] + list(self._orders.in_vain(now))
        for say in self._complaints.fresh(said, now):
            self._story(f"{say.area}: {say.sentence}")

    def _look(self, now: float) -> None:
        for name, process in self.pool.processes.items():
            observer = self.observers.get(name)
            alive = process.pid is not None
            self._index.put(Process(name=name, kind=process.spec.kind, peer=process.peer, url=process.url, alive=alive))
            if observer is not None:
                self._index.heard(name, observer.status, now - observer.silent)
                self._divergences(name, observer.status)

    def _divergences(self, name: str, status: ReplicaStatus | WitnessStatus | None) -> None:
        if not isinstance(status, ReplicaStatus):
            return
        before = self._diverged.get(name, (0, 0))
        self._diverged[name] = status.pid, status.divergences
        if status.divergences > (before[1] if before[0] == status.pid else 0):
            folder = self.pool.processes[name].folder
            self._story(
                f"{status.area}: {name} came to another state than the active: its simulator's step is not"
                f" deterministic (log: {folder / 'log'})"
            )

    def _decided(self, area: str, now: float) -> Iterator[Say]:
        """Acts, and gives back what is wrong."""
        if area == POOL:
            actions: tuple[Action, ...] = self._index.pool_labels()
        else:
            actions = decide(self._index.view(area, now))
        for action in actions:
            if isinstance(action, Say):
                yield action
                continue
            try:
                self._act(action)
            except OSError as error:  # a full disk must not end a world that runs
                yield Say("world", f"cannot write {self._folder.path}: {error.strerror}; nothing is decided")
                return

    def _touch(self, area: str) -> None:
        self._due.add(area)
        self.changed.set()

    def replica(self, area: str, role: str) -> str | None:
        """The process that has a role in an area."""
        if role == "witness":
            recorded = self.recorded.get(area)
            return recorded.witness.replica if recorded else None
        found = [
            (status.term, name)
            for name, observer in self.observers.items()
            if isinstance(status := observer.status, ReplicaStatus) and status.area == area and status.role == role
        ]
        return max(found)[1] if found else None

    # --- acting

    def _client(self, name: str) -> AreaClient | None:
        observer = self.observers.get(name)
        return observer.client if observer is not None else None

    def _act(self, action: Action) -> None:
        match action:
            case Assign():
                self._record(action.assignment)
                self._orders.give(action)
            case Remind() | Release() | BackUp() | Switchover():
                self._orders.give(action)
            case Adopt():
                self._record(action.assignment)
            case Forget():
                self._folder.write_assignments(
                    {area: known for area, known in self.recorded.items() if area != action.area}
                )
                self._index.record(action.area, None)
                self._index.want(action.area, None)
                self._save({area: file for area, file in self._saved.items() if area != action.area})
                self._story(f"{action.area}: nobody has it any more")
            case SetLabel():
                self._label(action)

    async def _keep(self, client: AreaClient, area: str) -> None:
        """Of an area that is not wanted any more."""
        file = await self._folder.backups.take(client, area)
        try:
            self._save({**self._saved, area: file})
        except OSError as error:
            raise BackupError(f"cannot write {self._folder.path}: {error.strerror}") from error
        self._story(f"{area}: its last state is kept in {self._folder.backups.path / file}")
        self._index.want(area, Wanted(None))

    def _save(self, saved: dict[str, str]) -> None:
        """Written down before a member is released: later there is no state to save."""
        if saved != self._saved:
            self._folder.write_backup_files(saved)
            self._saved = saved

    def _record(self, assignment: Assignment) -> None:
        """Writes it down before it is sent: a restart must not found an area again."""
        area = assignment.spec.area
        before = self._index.recorded(area)
        if before == assignment:
            return
        self._folder.write_assignments({**self.recorded, area: assignment})
        self._index.record(area, assignment)
        if before is None or assignment.generation > before.generation:
            names = " and ".join(m.replica for m in assignment.replicas)
            kind = "founded with" if assignment.generation == 1 else f"generation {assignment.generation}:"
            self._story(f"{area}: {kind} {names}, witness {assignment.witness.replica}")

    def _label(self, action: SetLabel) -> None:
        label = action.label
        self._index.label(action.replica, label)
        if label.role != "active":
            return
        before = self._actives.get(label.area)
        self._actives[label.area] = action.replica
        status = self.observers[action.replica].status
        told = status if isinstance(status, ReplicaStatus) and status.term == label.term else None
        at = f" at tick {told.tick}" if told is not None else ""
        if before == action.replica:
            self._story(f"{label.area}: {action.replica} stays active, in term {label.term}{at}")
        else:
            why = f" ({told.succession})" if told is not None and told.succession is not None else ""
            place = f" in place of {before}{why}" if before is not None else ""
            self._story(f"{label.area}: {action.replica} is active{place}, in term {label.term}{at}")
