"""The processes of a local world over HTTP, for chaos experiments: list, end and start them."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from aiohttp import web

from pairsim.model.world_status import LocalProcessStatus
from pairsim_controller.local.process import Termination
from pairsim_controller.local.world import LocalWorld

MAX_SECONDS = 3600.0

_PARENT = 1
"""The place of the parent's process id in /proc/PID/stat behind the program's name; see proc(5)."""


class EndProcessRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/processes/end`.

    Attributes:
        process: The process's name.
        grace: Seconds for an orderly end after SIGTERM; 0 sends SIGKILL.
        downtime: Seconds until the process is started again; 0 starts it at once.
        wipe: Whether its folder is emptied first, except for the log.
    """

    process: str
    grace: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)] = 0.0
    downtime: Annotated[float, msgspec.Meta(ge=0, le=MAX_SECONDS)] = msgspec.field(default=0.0, name="away")
    wipe: bool = msgspec.field(default=False, name="fresh")


class SignalEngineRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/processes/signal-engine`.

    Attributes:
        process: The process whose engine gets the signal.
        signal: The name of the signal.
        pid: The process id of the engine that is meant; another engine gets no signal. None for any engine.
    """

    process: str
    signal: Literal["SIGKILL", "SIGSEGV", "SIGSTOP", "SIGCONT"]
    pid: int | None = None


class StartProcessRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/processes/start`, which ends a process's downtime."""

    process: str


def processes(world: LocalWorld) -> list[LocalProcessStatus]:
    """Returns the status of all processes."""
    labels = world.labels
    planes = {spec.area: spec.plane for spec in world.areas}
    seen = []
    for name, process in world.pool.processes.items():
        label = labels.get(name)
        seen.append(
            LocalProcessStatus(
                process=name,
                kind=process.spec.kind.value,
                plane=planes.get(label.area, "") if label else "",
                area=label.area if label else "",
                role=label.role.value if label else "",
                url=process.url,
                peer=process.peer,
                pid=process.pid,
                network=str(process.network or ""),
                folder=str(process.folder.resolve()),
                engine_pid=_engine_pid(world, name),
            )
        )
    return seen


class ProcessesApi:
    """The handlers."""

    def __init__(self, world: LocalWorld) -> None:
        self._world = world

    async def show(self, _request: web.Request) -> web.Response:
        """Handles `GET /v1/processes`."""
        return web.json_response(body=msgspec.json.encode(processes(self._world)))

    def end(self, request: EndProcessRequest) -> int | None:
        """Ends a process once; returns its pid, or None if it is not running.

        Raises:
            KeyError: The process does not exist.
        """
        process = self._world.pool.processes[request.process]
        return process.terminate(Termination(request.grace, request.downtime, request.wipe))

    def start(self, request: StartProcessRequest) -> int | None:
        """Ends a process's downtime; returns its pid if it runs and is not about to end, else None.

        Raises:
            KeyError: The process does not exist.
        """
        return self._world.pool.processes[request.process].restart_now()

    def signal_engine(self, request: SignalEngineRequest) -> int | None:
        """Sends a signal to the engine of a process; returns its pid, or None without such an engine.

        Raises:
            KeyError: The process does not exist.
        """
        process, engine = self._world.pool.processes[request.process], _engine_pid(self._world, request.process)
        if process.pid is None or engine is None or request.pid not in {None, engine}:
            return None
        return engine if signal_child(process.pid, engine, signal.Signals[request.signal]) else None


def signal_child(parent: int, child: int, number: signal.Signals) -> bool:
    """Sends a signal to a process if it is the child of another one; returns whether it is.

    A process id that was reported a moment ago may be that of a foreign process by now, which gets no signal.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        held = os.pidfd_open(child)
        try:
            fields = Path(f"/proc/{child}/stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[_PARENT]) == parent:
                signal.pidfd_send_signal(held, number)
                return True
        finally:
            os.close(held)
    return False


def _engine_pid(world: LocalWorld, name: str) -> int | None:
    status = world.watchers.replica_status(name)
    return status.engine_pid if status is not None else None
