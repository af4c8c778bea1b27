"""Where the test's processes live: a folder, and programs that end with the test, however it ends.

The kernel ends them with the thread that started them, also when that is killed. Should one be left all the same, the
next run knows it by its working directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.cluster.native.sandbox import ClusterError, wait

HOME = Path("/var/tmp/pairsim-scale")  # noqa: S108 - one fixed place: what is left over must be found


class Place:
    """The folder and the programs of a test; one at a time on a machine."""

    def __init__(self) -> None:
        self._lock = -1
        self._running: list[subprocess.Popen[bytes]] = []

    def open(self) -> None:
        """Takes the place and empties it.

        Raises:
            ClusterError: Another run has it.
        """
        HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(HOME / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ClusterError(f"another run has the place of this test ({HOME}/lock)") from None
        _end_left_overs()
        for name in ("run", "data", "pki", "logs"):
            shutil.rmtree(HOME / name, ignore_errors=True)
            (HOME / name).mkdir(mode=0o700)

    def close(self) -> None:
        """Ends what runs, the last one first; logs stay until the next run."""
        while self._running:
            self.stop(self._running[-1])
        shutil.rmtree(HOME / "data", ignore_errors=True)
        os.close(self._lock)

    def start(self, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
        """Starts a program; call it from the thread that lives longest."""
        with (HOME / "logs" / f"{name}.log").open("ab") as out:
            process = subprocess.Popen(
                ("setpriv", "--pdeathsig", "KILL", *(str(word) for word in command)),
                cwd=HOME / "run",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # an interrupt is for the test, which then ends them in order
            )
        self._running.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """Asks it to end, then makes it."""
        self._running.remove(process)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def log_of(self, name: str) -> Path:
        """What a program printed."""
        return HOME / "logs" / f"{name}.log"


def python(*words: str) -> tuple[str, ...]:
    """A command that runs this interpreter."""
    return (sys.executable, *words)


def _end_left_overs() -> None:
    wait("the processes of an earlier run are gone", _none_left, 20)


def _none_left() -> bool:
    left = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _lives_here(pid)]  # noqa: PTH208
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if left:
        time.sleep(0.05)
    return not left


def _lives_here(pid: int) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/cwd").startswith(f"{HOME}/run")  # noqa: PTH115
    except OSError:
        return False
