"""One local process in place of a pod: started, kept running, and ended in the ways that pods end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from pairsim.addresses import format_address, http_url
from pairsim.model.stop_signals import WORLD_SHUTDOWN
from pairsim.system.bounded_log import BoundedLog
from pairsim.system.memory import oom_kills
from pairsim.system.parent_death import request_signal_on_parent_death
from pairsim.wording import duration
from pairsim_controller.local.restart_backoff import FIRST_DELAY_SECONDS, RestartBackoff
from pairsim_controller.plan.view import Kind
from pairsim_controller.reconcile.process_end import exit_reason

_TAIL_BYTES = 4096
_LOG = "log"


class ProcessSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A process's name and addresses, which stay the same over its restarts.

    Attributes:
        name: The process's name.
        kind: Simulator or witness.
        http_port: The TCP port of its HTTP API.
        peer_port: The TCP port for its peers.
        host: Its address in a network of its own; empty if it uses its machine's network.
    """

    name: str
    kind: Kind
    http_port: int
    peer_port: int
    host: str = ""


class Termination(msgspec.Struct, frozen=True):
    """How a process is ended once.

    Attributes:
        grace: Seconds for an orderly end after SIGTERM; 0 sends SIGKILL.
        downtime: Seconds until the process is started again; 0 starts it at once.
        wipe: Whether its folder is emptied first, except for the log, as when a pod is deleted.
    """

    grace: float = 0.0
    downtime: float = 0.0
    wipe: bool = False


_KILL = Termination()


class LocalProcess:
    """A process that is restarted whenever it ends.

    Attributes:
        spec: Its name and ports.
        host: Its IP address, without brackets.
        network: The network namespace that it runs in; None for that of the pool.
        folder: Its data folder.
        log: Its standard output and standard error.
        peer: Its address for peers, HOST:PORT.
        url: The URL of its HTTP API.
        restarts: How often it was started again; -1 before the first start.
        failure: How it ended the last time, if it ended by itself; else empty.
    """

    def __init__(
        self,
        spec: ProcessSpec,
        host: str,
        data: Path,
        *,
        on_change: Callable[[], None],
        report: Callable[[str], None],
        command: Sequence[str],
        options: Sequence[str] = (),
        network: Path | None = None,
    ) -> None:
        """Describes the process; `start` starts it.

        Args:
            spec: Its name and ports.
            host: Its IP address, without brackets.
            data: The world's data folder.
            on_change: Called when the process has started, and when it has ended.
            report: Receives a sentence when the process has ended.
            command: The first words of its command line.
            options: Further options at the end of its command line.
            network: The network namespace that it runs in; None for that of the pool.
        """
        self.spec, self.host, self.network = spec, host, network
        self.folder = data / spec.name
        self.log = BoundedLog(self.folder / _LOG)
        self.peer, self.url = format_address(host, spec.peer_port), http_url(host, spec.http_port)
        self.restarts = -1
        self.failure = ""
        self._termination: Termination | None = None
        self._backoff = RestartBackoff()
        self._wanted = asyncio.Event()
        self._data, self._on_change, self._report = data, on_change, report
        self._command, self._options = command, options
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._began = 0.0

    @property
    def uptime(self) -> float:
        """Seconds since the process was started; 0 while it does not run."""
        return time.monotonic() - self._began if self.pid is not None else 0.0

    @property
    def pid(self) -> int | None:
        """The pid of the running process; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def start(self) -> None:
        """Starts the process and keeps it running until `stop`."""
        self._keeper = asyncio.create_task(self._keep_running(), name=f"keep-{self.spec.name}")

    def terminate(self, termination: Termination = _KILL) -> int | None:
        """Ends the process once; it is started again afterwards. Returns its pid, None if it is not running."""
        pid = self.pid
        if pid is None:
            return None
        try:
            os.kill(pid, signal.SIGTERM if termination.grace else signal.SIGKILL)
        except ProcessLookupError:  # it ended a moment ago, and the event loop has not noticed yet
            return None
        self._termination = termination
        if termination.grace:
            asyncio.get_running_loop().call_later(termination.grace, self._kill_if_running, pid)
        return pid

    def restart_now(self) -> int | None:
        """Ends the downtime: the process starts now, or as soon as it has ended.

        Returns its pid if it runs and is not about to end, else None.
        """
        self._wanted.set()
        if self._termination is None:
            return self.pid
        self._termination = msgspec.structs.replace(self._termination, downtime=0.0)
        return None

    def _kill_if_running(self, pid: int) -> None:
        if self.pid == pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_for_good(self) -> None:
        """Sends SIGKILL; the process is not started again."""
        self._stopping = True
        self.terminate()

    def stop_restarting(self) -> None:
        """Lets the process run on, and does not start it again when it ends."""
        self._stopping = True

    async def stop(self, timeout: float) -> None:  # noqa: ASYNC109 - a timeout ends in SIGKILL, not in an error
        """Stops the process as part of its world, by SIGKILL after `timeout` seconds; it is not started again."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(WORLD_SHUTDOWN)
            try:
                async with asyncio.timeout(timeout):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    async def _keep_running(self) -> None:
        while not self._stopping:
            began = self._began = time.monotonic()
            try:
                kills = oom_kills()
                self._process = await self._spawn()
            except OSError as error:  # no memory or a full disk: the next attempt may succeed
                reason = f"could not be started: {error.strerror}"
            else:
                self.restarts += 1
                self._on_change()
                reason = _reason(await self._process.wait(), self.log)
                if self._process.returncode == -signal.SIGKILL and self._termination is None and oom_kills() > kills:
                    reason += ": the kernel has killed processes of this machine since its memory ran out"
                self._on_change()
            termination, self._termination = self._termination, None
            if self._stopping:
                return
            self.failure = reason if termination is None else ""
            if termination is None:
                seconds, message = self._backoff.on_end(reason, time.monotonic() - began)
            else:
                seconds, message = termination.downtime or FIRST_DELAY_SECONDS, reason
            if message:
                self._report(
                    f"{self.spec.name} {message}; it is started again in {duration(seconds)} (log: {self.log.path})"
                )
            if termination is not None and termination.wipe:
                await asyncio.to_thread(self._wipe)
            await self._wait_for_start(seconds)

    async def _wait_for_start(self, seconds: float) -> None:
        self._wanted.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wanted.wait()

    def _wipe(self) -> None:
        """Empties the folder, except for the log, which explains what happened."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif not path.name.startswith(_LOG):
                path.unlink(missing_ok=True)

    async def _spawn(self) -> asyncio.subprocess.Process:
        self.folder.mkdir(parents=True, exist_ok=True)
        entered = () if self.network is None else ("nsenter", f"--net={self.network}", "--")
        with self.log.open() as output:
            return await asyncio.create_subprocess_exec(
                *entered, *self._command, self.spec.kind.value,
                "--name", self.spec.name,
                "--http", format_address(self.host, self.spec.http_port),
                "--peer", self.peer,
                "--data", str(self.folder),
                "--secret-file", str(self._data / "secret"),
                "--previous-secret-file", str(self._data / "previous-secret"),
                "--token-file", str(self._data / "token"),
                *self._options,
                stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,  # Ctrl-C reaches the pool alone, which stops its processes in order
                preexec_fn=_stop_with_pool,
            )  # fmt: skip


def _stop_with_pool() -> None:
    """Makes the process stop if the pool is killed, since nothing would restart or stop it then."""
    request_signal_on_parent_death(WORLD_SHUTDOWN)


def _reason(code: int, log: BoundedLog) -> str:
    if code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    return exit_reason(code, log.tail(_TAIL_BYTES).decode(errors="replace"))
