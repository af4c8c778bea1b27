"""A world on this machine: the pool, what its processes say, and the loop that makes the world so.

The loop is as simple as it can be: something changed, or half a second passed; look, decide, act.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog

from controller.decide import decide
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
    Say,
    SetLabel,
    View,
)
from pairsim.model.assignment import AreaSpec, Assignment, ReplicaStatus
from pairsim.network.client_errors import ClientError

log = structlog.get_logger()

PERIOD = 0.5
_AGAIN = 0.1
_ORDER_SECONDS = 15.0


class LocalWorld:
    """Makes `areas` so, with the processes of a pool."""

    def __init__(
        self, areas: tuple[AreaSpec, ...], pool: Pool, data: Path, token: str, story: Callable[[str], None]
    ) -> None:
        """`story` is told what happens, in sentences for a human."""
        self.areas, self.pool = areas, pool
        self._file, self._token, self._story = data / "areas.json", token, story
        self.changed = asyncio.Event()
        self.labels: dict[str, Label] = {}
        self.recorded: dict[str, Assignment] = {}
        if self._file.exists():
            self.recorded = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Assignment])
        self.observers: dict[str, Observer] = {}
        self._busy: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._said: dict[str, str] = {}

    async def run(self) -> None:
        """The loop; ends by cancellation."""
        for name, process in self.pool.processes.items():
            self.observers[name] = Observer(process.url, process.slot.kind, self._token, self.changed.set)
        try:
            while True:
                for action in decide(self.view()):
                    self._act(action)
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
            case Assign():
                self._record(action.assignment)
                for target in action.targets:
                    self._order(target, "assign", lambda o: o.client.assign(action.assignment))
            case Adopt():
                self._record(action.assignment)
            case Release():
                self._order(action.target, "release", lambda o: o.client.release(action.area))
            case Forget():
                del self.recorded[action.area]
                self._write()
            case SetLabel():
                self._label(action)
            case Say():
                if self._said.get(action.area) != action.sentence:
                    self._said[action.area] = action.sentence
                    self._story(f"{action.area}: {action.sentence}")

    def _order(self, target: str, what: str, order: Callable[[Observer], Awaitable[None]]) -> None:
        """Sends an order in the background; the same one is not sent twice at a time."""
        key = target, what
        running = self._busy.get(key)
        if running is not None and not running.done():
            return
        self._busy[key] = asyncio.create_task(self._send(target, what, order))

    async def _send(self, target: str, what: str, order: Callable[[Observer], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(_ORDER_SECONDS):
                await order(self.observers[target])
        except (ClientError, TimeoutError) as error:
            log.debug("an order failed", target=target, order=what, reason=str(error))
        await asyncio.sleep(_AGAIN)

    def _record(self, assignment: Assignment) -> None:
        area = assignment.spec.area
        if self.recorded.get(area) == assignment:
            return
        before = self.recorded.get(area)
        self.recorded[area] = assignment
        self._write()
        self._said.pop(area, None)
        if before is None or assignment.generation > before.generation:
            names = " and ".join(m.replica for m in assignment.replicas)
            kind = "founded with" if assignment.generation == 1 else f"generation {assignment.generation}:"
            self._story(f"{area}: {kind} {names}, witness {assignment.witness.replica}")

    def _write(self) -> None:
        """Before anything is sent: a restart must not found an area again."""
        temporary = self._file.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.format(msgspec.json.encode(self.recorded)))
        temporary.replace(self._file)

    def _label(self, action: SetLabel) -> None:
        label = action.label
        self.labels[action.replica] = label
        if label.role == "active":
            self._story(f"{label.area}: {action.replica} is active in term {label.term}")


def stamp() -> str:
    """The time of day, for the story."""
    now = time.time()
    return time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now * 1000) % 1000:03d}"
