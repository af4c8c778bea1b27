"""A world on this machine: the pool, what its processes say, and the loop that makes the world so.

The loop is as simple as it can be: something changed, or half a second passed; look, decide, act.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from controller.complaints import Complaints
from controller.decide import decide
from controller.folder import DataFolder
from controller.observer import Observer
from controller.pool import Pool
from controller.view import (
    Action,
    Adopt,
    Assign,
    Forget,
    Label,
    Process,
    Release,
    Remind,
    Say,
    SetLabel,
    View,
)
from pairsim.model.assignment import AreaSpec, Assignment, ReplicaStatus
from pairsim.network.client_errors import ClientError

log = structlog.get_logger()

PERIOD = 0.5
_AGAIN, _LONGEST_AGAIN = 0.1, 2.0
_ORDER_SECONDS = 15.0


class LocalWorld:
    """Makes `areas` so, with the processes of a pool."""

    def __init__(
        self, areas: tuple[AreaSpec, ...], pool: Pool, folder: DataFolder, story: Callable[[str], None]
    ) -> None:
        """`story` is told what happens, in sentences for a human.

        Raises:
            FolderError: The records in the folder cannot be read.
        """
        self.areas, self.pool = areas, pool
        self._folder, self._story = folder, story
        self.changed = asyncio.Event()
        self.labels: dict[str, Label] = {}
        self.recorded = folder.recorded()
        self.observers: dict[str, Observer] = {}
        self._busy: dict[tuple[str, str, str, int], asyncio.Task[None]] = {}
        self._failures: dict[tuple[str, str, str], int] = {}
        self._complaints = Complaints()

    async def run(self) -> None:
        """The loop; ends by cancellation."""
        for name, process in self.pool.processes.items():
            self.observers[name] = Observer(process.url, process.slot.kind, self._folder.token, self.changed.set)
        try:
            while True:
                self._turn()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PERIOD):
                        await self.changed.wait()
                self.changed.clear()
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)
            for observer in self.observers.values():
                await observer.close()

    def _turn(self) -> None:
        """Looks, decides and acts; an action that fails is decided again."""
        said = []
        for action in decide(self.view()):
            if isinstance(action, Say):
                said.append(action)
                continue
            try:
                self._act(action)
            except OSError as error:  # a full disk must not end a world that runs
                said.append(Say("world", f"cannot write {self._folder.path}: {error.strerror}; nothing is decided"))
        for say in self._complaints.fresh(said, time.monotonic()):
            self._story(f"{say.area}: {say.sentence}")

    def view(self) -> View:
        """One look."""
        processes = {}
        for name, process in self.pool.processes.items():
            observer = self.observers.get(name)
            processes[name] = Process(
                name=name,
                kind=process.slot.kind,
                peer=process.peer,
                url=process.url,
                alive=process.pid is not None,
                status=observer.status if observer else None,
                silent=observer.silent if observer else 0.0,
            )
        return View(areas=self.areas, processes=processes, recorded=dict(self.recorded), labels=dict(self.labels))

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

    def _act(self, action: Action) -> None:
        match action:
            case Assign() | Remind():
                if isinstance(action, Assign):
                    self._record(action.assignment)
                assignment = action.assignment
                for target in action.targets:
                    key = target, "assign", assignment.spec.area, assignment.generation
                    self._order(key, lambda o: o.client.assign(assignment))
            case Adopt():
                self._record(action.assignment)
            case Release():
                self._order((action.target, "release", action.area, 0), lambda o: o.client.release(action.area))
            case Forget():
                self._write({area: known for area, known in self.recorded.items() if area != action.area})
                self._story(f"{action.area}: nobody has it any more")
            case SetLabel():
                self._label(action)

    def _order(self, key: tuple[str, str, str, int], order: Callable[[Observer], Awaitable[None]]) -> None:
        """Sends an order in the background; the same one is not sent twice at a time."""
        if key not in self._busy:
            self._busy[key] = task = asyncio.create_task(self._send(*key[:3], order))
            task.add_done_callback(lambda _task: self._busy.pop(key, None))

    async def _send(self, target: str, what: str, area: str, order: Callable[[Observer], Awaitable[None]]) -> None:
        key = target, what, area
        try:
            async with asyncio.timeout(_ORDER_SECONDS):
                await order(self.observers[target])
        except (ClientError, TimeoutError) as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            log.info("an order failed", target=target, order=what, area=area, reason=str(error), times=failures)
            await asyncio.sleep(min(_AGAIN * 2**failures, _LONGEST_AGAIN))
        else:
            self._failures.pop(key, None)
            await asyncio.sleep(_AGAIN)

    def _record(self, assignment: Assignment) -> None:
        """Writes it down before it is sent: a restart must not found an area again."""
        area = assignment.spec.area
        before = self.recorded.get(area)
        if before == assignment:
            return
        self._write({**self.recorded, area: assignment})
        if before is None or assignment.generation > before.generation:
            names = " and ".join(m.replica for m in assignment.replicas)
            kind = "founded with" if assignment.generation == 1 else f"generation {assignment.generation}:"
            self._story(f"{area}: {kind} {names}, witness {assignment.witness.replica}")

    def _write(self, recorded: dict[str, Assignment]) -> None:
        self._folder.record(recorded)
        self.recorded = recorded

    def _label(self, action: SetLabel) -> None:
        label = action.label
        self.labels[action.replica] = label
        if label.role == "active":
            self._story(f"{label.area}: {action.replica} is active in term {label.term}")


def stamp() -> str:
    """The time of day, for the story."""
    now = time.time()
    return time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"
