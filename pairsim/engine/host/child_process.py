"""The process of an engine as the node sees it: started, observed, and ended together with all that it started.

Two threads belong to it and end with it. One starts it and waits for its end, since the kernel ends the process when
the thread ends that started it; the other copies its output.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Sequence

from pairsim.engine.channel import MessageChannel
from pairsim.engine.descriptors import HEADER_BYTES, MEMORY, REPORT, REPORT_BYTES, SOCKET
from pairsim.engine.host.ending import early_status, ending
from pairsim.engine.host.output import copy_output
from pairsim.engine.host.priority import put_last
from pairsim.engine.host.session import end_session, wait_for_adopted
from pairsim.engine.host.spawn import engine_environment, spawn
from pairsim.engine.liveness import LifeWord
from pairsim.engine.memory_file import make_file, seal_length
from pairsim.system.memory import oom_kills

_RECHECK_SECONDS = 0.5
"""How often the node looks for the end of a process whose word in shared memory may be damaged."""

_STATUS_SECONDS = 0.25
"""How long the reason of an end is waited for; a process that has given up its word but runs on is killed then."""

_SESSION_SECONDS, _JOIN_SECONDS = 2.0, 5.0


class ChildProcess:
    """The process of an engine.

    Attributes:
        channel: The connection to it.
        memory: The descriptor of the shared memory, whose length is not sealed yet.
        ended: Set when the process has ended or is about to.
        reason: How it ended, as a phrase; empty before.
    """

    def __init__(self, command: Sequence[str], write: Callable[[bytes], None], on_end: Callable[[str], None]) -> None:
        """Starts the process.

        Args:
            command: Its command line.
            write: Receives its output, in lines.
            on_end: Called with the reason, in a thread of its own, when the process has ended or is about to; `close`
                waits until it has.

        Raises:
            OSError: The process cannot be started.
        """
        self.ended = threading.Event()
        self.reason = ""
        self.pid = 0
        self._command, self._on_end = command, on_end
        self._ready = self._pidfd = -1
        self._oom_kills = oom_kills()
        self._error: OSError | None = None
        self._open_descriptors()
        started = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(started,), name="engine-watch", daemon=True),
            threading.Thread(
                target=copy_output, args=(self._output, write, self._gone.is_set), name="engine-output", daemon=True
            ),
        ]
        self._threads[0].start()
        started.wait()
        if self._error is not None:
            self._threads[0].join()
            os.close(self._output)
            self._close_descriptors()
            raise self._error
        self._threads[1].start()

    def report_end_to(self, on_end: Callable[[str], None]) -> None:
        """Calls `on_end` in place of the function that was given before, if the process ends from now on."""
        self._on_end = on_end

    def on_ready(self) -> None:
        """Receives that the process has had the time to own its word in the shared memory, whose length is sealed."""
        with self._lock:
            if self._ready >= 0:
                os.eventfd_write(self._ready, 1)

    def kill(self) -> None:
        """Ends the process and its session at once."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def request_report(self) -> None:
        """Asks the process to write down where its code is; see `report`."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, signal.SIGQUIT)

    def report(self) -> bytes:
        """Returns what the process has written down, up to the first zero."""
        with self._lock:
            try:
                return os.pread(self._report, REPORT_BYTES, 0).partition(b"\0")[0] if self._report >= 0 else b""
            except OSError:
                return b""

    def close(self) -> None:
        """Kills the process with its session, waits for its end, and closes all descriptors."""
        self.kill()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_SECONDS)
        self._close_descriptors()

    def _open_descriptors(self) -> None:
        self._lock = threading.Lock()
        self._gone = threading.Event()
        with contextlib.ExitStack() as opened:
            self.memory = make_file("pairsim-tables", HEADER_BYTES)
            opened.callback(os.close, self.memory)
            self._report = make_file("pairsim-report", REPORT_BYTES)
            opened.callback(os.close, self._report)
            seal_length(self._report)
            self._output, self._output_end = os.pipe2(os.O_CLOEXEC)
            opened.callback(os.close, self._output)
            opened.callback(os.close, self._output_end)
            self._ready = os.eventfd(0, os.EFD_CLOEXEC)
            opened.callback(os.close, self._ready)
            mine, self._theirs = socket.socketpair()
            self.channel = MessageChannel(mine)
            opened.pop_all()

    def _close_descriptors(self) -> None:
        self.channel.close()
        with self._lock:
            for name in ("memory", "_report", "_ready"):
                fd = getattr(self, name)
                setattr(self, name, -1)
                if fd >= 0:
                    os.close(fd)

    # --- the thread that watches

    def _watch(self, started: threading.Event) -> None:
        try:
            self._spawn()
        except OSError as error:
            self._error = error
            return
        finally:
            self._theirs.close()
            os.close(self._output_end)
            started.set()
        self._await_end()
        status = self._early_status()
        self.reason = ending(status)
        if status == -signal.SIGKILL and oom_kills() > self._oom_kills:
            self.reason += ": the kernel has killed processes of this machine since its memory ran out"
        self.ended.set()
        self.channel.shut()  # before anything else: a call that is under way fails now
        put_last(self.pid)
        self._on_end(self.reason)  # first: the kernel may need many milliseconds to release the memory of the process
        self._reap()

    def _spawn(self) -> None:
        passed = {SOCKET: self._theirs.fileno(), MEMORY: self.memory, REPORT: self._report}
        self.pid = spawn(self._command, engine_environment(os.environ, os.getpid()), self._output_end, passed)
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except OSError:  # a kernel before 5.3, or no descriptor is left
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            raise

    def _await_end(self) -> None:
        """Returns when the process has ended, or has given up its word in the shared memory."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.register(self._ready, select.POLLIN)
        if any(fd == self._pidfd for fd, _event in poll.poll()):
            return
        try:
            word = LifeWord(self.memory)
        except (OSError, ValueError):  # no address is left, or the file is too short: its exit is seen all the same
            self._has_ended(None)
            return
        try:
            while word.owned:
                if word.wait_for_end(_RECHECK_SECONDS) or self._has_ended(0):
                    return
        finally:
            word.close()
        self._has_ended(None)

    def _early_status(self) -> int | None:
        status = early_status(self.pid)
        if status is not None:
            return status
        if not self._has_ended(_STATUS_SECONDS):
            self.kill()  # a process without the thread that owns the word: its code has destroyed its runtime
            self._has_ended(_STATUS_SECONDS)
        return self._wait(os.WNOWAIT | os.WNOHANG)

    def _has_ended(self, seconds: float | None) -> bool:
        """Waits for the exit of the process, and returns whether there was one."""
        return bool(select.select([self._pidfd], [], [], seconds)[0])

    def _wait(self, options: int) -> int | None:
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | options)
        except ChildProcessError:  # another part of the node waits for all children
            return None
        if result is None:
            return None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    def _reap(self) -> None:
        """Ends what the process has started, and forgets the process."""
        self._has_ended(None)
        end_session(self.pid, _SESSION_SECONDS)
        self._wait(0)
        wait_for_adopted(self.pid)
        with self._lock:
            os.close(self._pidfd)
            self._pidfd = -1
        self._gone.set()
