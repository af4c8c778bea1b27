"""Local processes in place of pods: started, kept running, stopped in order.

Like a kubelet, the pool restarts a process that died where it was, on the same folder and ports, with a growing
pause. What the process then is, a member again or a spare, is between it and its peers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from controller.folder import DataFolder
from controller.view import Kind

PAIRSIM = (sys.executable, "-m", "pairsim")
_FIRST_PAUSE, _LONGEST_PAUSE, _HEALTHY = 0.1, 5.0, 2.0
_LOG_BYTES = 8 * 2**20
_PR_SET_PDEATHSIG = 1
_SLOTS = "pool.json"
_PORTS = range(15_000, 32_000)
"""Below the range that the kernel gives to outgoing connections."""
_ATTEMPTS = 200


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

    def __init__(
        self,
        slot: Slot,
        host: str,
        data: Path,
        *,
        changed: Callable[[], None],
        story: Callable[[str], None],
        command: Sequence[str],
    ) -> None:
        self.slot, self.host = slot, host
        self.folder = data / slot.name
        self.peer, self.url = f"{host}:{slot.peer_port}", f"http://{host}:{slot.http_port}"
        self.restarts = -1
        self._data, self._changed, self._story = data, changed, story
        self._command = command
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
        """Kill -9; it is restarted. Returns its pid, None if it does not run."""
        pid = self.pid
        if pid is None:
            return None
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:  # it has ended just now, which is not known here yet
            return None
        return pid

    def give_up(self) -> None:
        """Kill -9; it is not restarted."""
        self._stopping = True
        self.kill()

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
            try:
                self._process = await self._spawn()
            except OSError as error:  # no memory, a full disk: it may be over soon
                ended = f"could not be started: {error.strerror}"
            else:
                self.restarts += 1
                self._changed()
                ended = _ended(await self._process.wait())
                self._changed()
            healthy = time.monotonic() - began > _HEALTHY
            pause = _FIRST_PAUSE if healthy else min(2 * pause, _LONGEST_PAUSE)
            if not self._stopping:
                self._story(
                    f"{self.slot.name} {ended}; it is started again in {pause:g} s (log: {self.folder / 'log'})"
                )
                await asyncio.sleep(pause)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            path.replace(self.folder / "log.1")
        with path.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *self._command, self.slot.kind.value,
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


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with exit code {code}"


class Pool:
    """All processes of a local world, with the same names and ports at every start."""

    def __init__(
        self,
        folder: DataFolder,
        host: str,
        *,
        changed: Callable[[], None],
        story: Callable[[str], None],
        command: Sequence[str] = PAIRSIM,
    ) -> None:
        """`changed` is called when a process starts or ends, `story` told of it; `command` is what is started."""
        self._command = command
        self._folder, self._host, self._changed, self._story = folder, host, changed, story
        self.processes: dict[str, LocalProcess] = {}

    def start(self, simulators: int, witnesses: int = 1, *, members: frozenset[str] = frozenset()) -> None:
        """Starts what was there before, and as many more as it takes.

        A process that is no member of anything gets other ports if its own are taken; peers know the `members` by
        theirs.

        Raises:
            PoolError: A port that a member is known under is taken.
            FolderError, OSError: The folder cannot be used.
        """
        slots = {slot.name: slot for slot in self._folder.read(_SLOTS, list[Slot]) or []}
        for kind, prefix, count in ((Kind.SIMULATOR, "sim", simulators), (Kind.WITNESS, "witness", witnesses)):
            for number in range(1, count + 1):
                name = f"{prefix}-{number}"
                if name not in slots:
                    slots[name] = Slot(name, kind, *self._free_ports(slots.values()))
        for slot in list(slots.values()):
            taken = [port for port in (slot.http_port, slot.peer_port) if not _is_free(self._host, port)]
            if taken and slot.name in members:
                raise PoolError(
                    f"port {taken[0]}, under which {slot.name} is known to its peers, is taken by another program:"
                    " stop that one, or use another --data folder"
                )
            if taken:
                slots[slot.name] = Slot(slot.name, slot.kind, *self._free_ports(slots.values()))
        self._folder.write(_SLOTS, list(slots.values()))
        for slot in slots.values():
            process = LocalProcess(
                slot, self._host, self._folder.path, changed=self._changed, story=self._story, command=self._command
            )
            self.processes[slot.name] = process
            process.start()

    def _free_ports(self, slots: Iterable[Slot]) -> tuple[int, int]:
        """Two ports that nobody listens at, nor is given for an outgoing connection while their process restarts."""
        promised = {port for slot in slots for port in (slot.http_port, slot.peer_port)}
        found: list[int] = []
        for port in random.sample(_PORTS, _ATTEMPTS):
            if port not in promised and _is_free(self._host, port):
                found.append(port)
            if len(found) == 2:
                return found[0], found[1]
        raise PoolError(
            f"no free ports at {self._host} between {_PORTS.start} and {_PORTS.stop}: is it this machine's address?"
        )

    def kill(self) -> None:
        """Kill -9 for all, for good."""
        for process in self.processes.values():
            process.give_up()

    async def stop(self, last: frozenset[str], patience: float = 10.0) -> None:
        """Stops everything; the actives (`last`) after the others, so that nobody hands over to one that leaves."""
        for names in (self.processes.keys() - last, last & self.processes.keys()):
            await asyncio.gather(*(self.processes[name].stop(patience) for name in names))


def _is_free(host: str, port: int) -> bool:
    try:
        with socket.create_server((host, port)):
            return True
    except OSError:
        return False
