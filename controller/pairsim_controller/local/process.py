"""One local process in place of a pod: started, kept running, ended in the ways that pods end."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from pairsim.model.stop_signals import WORLD_SHUTDOWN
from pairsim_controller.local.restart_backoff import FIRST_PAUSE, Restarts
from pairsim_controller.plan.view import Kind

_TAIL, _SHOWN = 4096, 300
_LOG_BYTES = 8 * 2**20
_PR_SET_PDEATHSIG = 1
_LOG = "log"


class Slot(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process's fixed place: its name and addresses outlive it.

    Attributes:
        host: In the network of its own; empty where it shares its machine's.
    """

    name: str
    kind: Kind
    http_port: int
    peer_port: int
    host: str = ""


class Ending(msgspec.Struct, frozen=True):
    """How a process is ended once.

    Attributes:
        grace: Seconds that it has to end in order; 0 is kill -9.
        away: Seconds until it is started again; 0 is at once.
        fresh: Whether what it has on disk is gone, as that of a pod that is deleted.
    """

    grace: float = 0.0
    away: float = 0.0
    fresh: bool = False


_AT_ONCE = Ending()


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
        network: Path | None = None,
    ) -> None:
        """`network` is the namespace that it runs in, if not in that of the pool."""
        self.slot, self.host, self.network = slot, host, network
        self.folder = data / slot.name
        self.peer, self.url = f"{host}:{slot.peer_port}", f"http://{host}:{slot.http_port}"
        self.restarts = -1
        self._ending: Ending | None = None
        self._restarts = Restarts()
        self._wanted = asyncio.Event()
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

    def kill(self, ending: Ending = _AT_ONCE) -> int | None:
        """Ends it once; it is started again. Returns its pid, None if it does not run."""
        pid = self.pid
        if pid is None:
            return None
        try:
            os.kill(pid, signal.SIGTERM if ending.grace else signal.SIGKILL)
        except ProcessLookupError:  # it has ended just now, which is not known here yet
            return None
        self._ending = ending
        if ending.grace:
            asyncio.get_running_loop().call_later(ending.grace, self._kill_still, pid)
        return pid

    def come_back(self) -> int | None:
        """Starts it now, or as soon as it has ended. Returns its pid, None if it has yet to start."""
        self._wanted.set()
        if self._ending is None:
            return self.pid
        self._ending = msgspec.structs.replace(self._ending, away=0.0)
        return None

    def _kill_still(self, pid: int) -> None:
        if self.pid == pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def give_up(self) -> None:
        """Kill -9; it is not restarted."""
        self._stopping = True
        self.kill()

    async def stop(self, patience: float) -> None:
        """It stops with the whole world, if need be by SIGKILL; it is not restarted."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(WORLD_SHUTDOWN)
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
        while not self._stopping:
            began = time.monotonic()
            try:
                self._process = await self._spawn()
            except OSError as error:  # no memory, a full disk: it may be over soon
                ended = f"could not be started: {error.strerror}"
            else:
                self.restarts += 1
                self._changed()
                ended = _ended(await self._process.wait(), self._log)
                self._changed()
            ending, self._ending = self._ending, None
            if self._stopping:
                return
            if ending is None:
                seconds, told = self._restarts.ended(ended, time.monotonic() - began)
            else:
                seconds, told = ending.away or FIRST_PAUSE, ended
            if told:
                self._story(f"{self.slot.name} {told}; it is started again in {seconds:g} s (log: {self._log})")
            if ending is not None and ending.fresh:
                await asyncio.to_thread(self._forget)
            await self._away(seconds)

    async def _away(self, seconds: float) -> None:
        self._wanted.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()

    @property
    def _log(self) -> Path:
        return self.folder / _LOG

    def _forget(self) -> None:
        """Removes what it has on disk, but for the log, which is for whoever asks what happened."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif not path.name.startswith(_LOG):
                path.unlink(missing_ok=True)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            self._log.replace(self.folder / f"{_LOG}.1")
        entered = () if self.network is None else ("nsenter", f"--net={self.network}", "--")
        with self._log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *entered, *self._command, self.slot.kind.value,
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
    """If the pool is killed, its processes stop: nobody would be there to look after them."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, WORLD_SHUTDOWN)


def _ended(code: int, log: Path) -> str:
    if code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    words = _last_words(log) if code else ""
    return f"ended with exit code {code}{f' ({words})' if words else ''}"


def _last_words(log: Path) -> str:
    """The last line of a log, if it is a sentence; what is for machines begins with its time."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    words = lines[-1].strip() if lines else ""
    return "" if words.startswith("timestamp=") else words[:_SHOWN]
