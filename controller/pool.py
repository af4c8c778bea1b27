"""Local processes in place of pods: started, kept running, stopped in order.

Like a kubelet, the pool restarts a process that died where it was, on the same folder and ports, with a growing
pause. What the process then is, a member again or a spare, is between it and its peers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from controller.view import Kind

_FIRST_PAUSE, _LONGEST_PAUSE, _HEALTHY = 0.1, 5.0, 2.0
_LOG_BYTES = 8 * 2**20
_PR_SET_PDEATHSIG = 1


class PoolError(Exception):
    """The pool cannot start; a sentence for the user."""


class Slot(msgspec.Struct, frozen=True):
    """A process's fixed place: its name and ports outlive it."""

    name: str
    kind: Kind
    http_port: int
    peer_port: int


class LocalProcess:
    """One place, and the process that runs in it."""

    def __init__(self, slot: Slot, host: str, data: Path, changed: Callable[[], None]) -> None:
        self.slot, self.host = slot, host
        self.folder = data / slot.name
        self.peer, self.url = f"{host}:{slot.peer_port}", f"http://{host}:{slot.http_port}"
        self.restarts = -1
        self._data, self._changed = data, changed
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def start(self) -> None:
        """Runs it from now on, until `stop`."""
        self._keeper = asyncio.create_task(self._keep(), name=f"keep-{self.slot.name}")

    def kill(self) -> int | None:
        """Kill -9; it is restarted. Returns its pid."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        return pid

    async def stop(self, patience: float) -> None:
        """SIGTERM, then SIGKILL; it is not restarted."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(patience):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping:
            began = time.monotonic()
            self._process = await self._spawn()
            self.restarts += 1
            self._changed()
            await self._process.wait()
            self._changed()
            pause = _FIRST_PAUSE if time.monotonic() - began > _HEALTHY else min(2 * pause, _LONGEST_PAUSE)
            await asyncio.sleep(pause)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(self.folder / "log.1")
        with path.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-m", "pairsim", self.slot.kind.value,
                "--name", self.slot.name,
                "--http", f"{self.host}:{self.slot.http_port}",
                "--peer", f"{self.host}:{self.slot.peer_port}",
                "--data", str(self.folder),
                "--secret-file", str(self._data / "secret"),
                "--token-file", str(self._data / "token"),
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,  # Ctrl-C is for the pool, which stops them in order
                preexec_fn=_die_with_parent,
            )  # fmt: skip


def _die_with_parent() -> None:
    """If the pool is killed, its processes get SIGTERM: nobody would be there to look after them."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Pool:
    """All processes of a local world, with the same names and ports at every start."""

    def __init__(self, data: Path, host: str, changed: Callable[[], None]) -> None:
        self._data, self._host, self._changed = data, host, changed
        self.processes: dict[str, LocalProcess] = {}

    def start(self, simulators: int, witnesses: int = 1) -> None:
        """Starts what was there before, and as many more as it takes.

        Raises:
            PoolError: A port that a member is known under is taken.
        """
        path = self._data / "pool.json"
        slots = msgspec.json.decode(path.read_bytes(), type=list[Slot]) if path.exists() else []
        for kind, prefix, count in ((Kind.SIMULATOR, "sim", simulators), (Kind.WITNESS, "witness", witnesses)):
            for number in range(1, count + 1):
                name = f"{prefix}-{number}"
                if all(slot.name != name for slot in slots):
                    slots.append(Slot(name, kind, *_free_ports(self._host)))
        for slot in slots:
            for port in (slot.http_port, slot.peer_port):
                if not _is_free(self._host, port):
                    raise PoolError(
                        f"port {port}, under which {slot.name} is known to its peers, is taken by another program:"
                        " stop that one, or use another --data folder"
                    )
        path.write_bytes(msgspec.json.format(msgspec.json.encode(slots)))
        for slot in slots:
            process = self.processes[slot.name] = LocalProcess(slot, self._host, self._data, self._changed)
            process.start()

    async def stop(self, last: frozenset[str], patience: float = 10.0) -> None:
        """Stops everything; the actives (`last`) after the others, so that nobody hands over to one that leaves."""
        for names in (self.processes.keys() - last, last & self.processes.keys()):
            await asyncio.gather(*(self.processes[name].stop(patience) for name in names))


def _free_ports(host: str) -> tuple[int, int]:
    with socket.create_server((host, 0)) as first, socket.create_server((host, 0)) as second:
        return first.getsockname()[1], second.getsockname()[1]


def _is_free(host: str, port: int) -> bool:
    try:
        with socket.create_server((host, port)):
            return True
    except OSError:
        return False
