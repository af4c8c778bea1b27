"""The cluster's sandbox: a mount namespace kept by a sleeping process, and the processes started in it.

The mount namespace hides what kubelets write outside their own folders: /run, /var/log, /var/lib/kubelet and the
kernel settings that they would change for the whole machine. When its last process ends, all its mounts are gone.
A mark in it tells its processes from all others, so that a run can end what a killed one left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

HOME = Path("/var/tmp/pairsim-cluster")  # noqa: S108 - root's, and one fixed place: what is left over must be found
_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_MARK = "run/pairsim-test-cluster"
_HOLDER = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock /run/settings /var/log /var/lib/kubelet /var/lib/cni
mount -t tmpfs tmpfs /var/log
mount -t tmpfs tmpfs /var/lib/kubelet
mount -t tmpfs tmpfs /var/lib/cni
for setting in $SETTINGS; do
  [ -e /proc/sys/$setting ] || continue
  copy=/run/settings/$(echo $setting | tr / _)
  cat /proc/sys/$setting > $copy
  mount --bind $copy /proc/sys/$setting
done
touch $MARK
touch $READY
exec sleep infinity
"""


class ClusterError(Exception):
    """A part of the cluster did not start, or a command in it failed."""


def wait(what: str, condition: Callable[[], bool], seconds: float) -> None:
    """Waits until a condition holds.

    Raises:
        ClusterError: Not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} after {seconds:.0f} s: no")
        time.sleep(0.05)


class Program:
    """A running process."""

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name, self.process = name, process

    @property
    def pid(self) -> int:
        """The pid of the program itself, since nsenter replaces itself by exec."""
        return self.process.pid

    def stop(self, seconds: float = 10.0) -> None:
        """Sends SIGTERM, and SIGKILL after a while."""
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.process.kill()
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Pauses or resumes it."""
        self.process.send_signal(number)


class Sandbox:
    """The mount namespace and its processes."""

    def __init__(self) -> None:
        self._lock = -1
        self._running: dict[str, Program] = {}
        self._holder = 0

    def take(self) -> None:
        """Locks the folder, for one cluster at a time.

        Raises:
            ClusterError: Another run has it.
        """
        HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(HOME / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ClusterError(f"another run has the cluster of this machine ({HOME}/lock)") from None
        self._lock = lock

    def open(self) -> None:
        """Creates the mount namespace."""
        ready = HOME / "ready"
        ready.unlink(missing_ok=True)
        env = {**os.environ, "SETTINGS": " ".join(_SETTINGS), "READY": str(ready), "MARK": f"/{_MARK}"}
        command = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _HOLDER)
        self._holder = self._start("holder", command, env).pid
        wait("the mount namespace is there", ready.exists, 10)

    def start(self, name: str, *command: str | Path, net: str = "", env: Mapping[str, str] | None = None) -> Program:
        """Starts a program in the sandbox, in one of its network namespaces or in the machine's."""
        return self._start(name, self._inside(net, command), {**os.environ, **(env or {})})

    def run(self, *command: str | Path, net: str = "", seconds: float = 60.0, stdin: bytes = b"") -> str:
        """Runs a command in the sandbox.

        Raises:
            ClusterError: It failed, with what it said, or took too long.
        """
        words = self._inside(net, command)
        try:
            done = subprocess.run(words, input=stdin, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{' '.join(str(word) for word in command)}: no answer after {seconds:.0f} s") from None
        if done.returncode:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise ClusterError(f"{' '.join(str(word) for word in command)}: {said}")
        return done.stdout.decode(errors="replace")

    def log_of(self, name: str) -> Path:
        """Returns the output of a program."""
        return HOME / "logs" / f"{name}.log"

    def close(self) -> None:
        """Ends all processes; their output stays until the next run."""
        end_processes()
        for program in self._running.values():
            program.process.wait(10)

    def leave(self) -> None:
        """Releases the folder."""
        os.close(self._lock)

    @property
    def taken(self) -> bool:
        """Returns whether this process has locked the folder."""
        return self._lock >= 0

    def _inside(self, net: str, command: tuple[str | Path, ...]) -> tuple[str, ...]:
        words = tuple(str(word) for word in command)
        # Not `ip netns exec`, which hides the cgroups under a new /sys.
        enter = ("nsenter", f"--net=/run/netns/{net}") if net else ()
        return ("nsenter", "--target", str(self._holder), "--mount", *enter, *words)

    def _start(self, name: str, command: tuple[str, ...], env: Mapping[str, str]) -> Program:
        log = self.log_of(name)
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(env), start_new_session=True
            )
        self._running[name] = Program(name, process)
        return self._running[name]


def end_processes() -> None:
    """Ends every process in a sandbox, also those of a run that was killed."""

    def inside() -> list[int]:
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        # os.path: a process that may not be looked at, or is gone, is none of ours.
        return [pid for pid in pids if os.path.exists(f"/proc/{pid}/root/{_MARK}")]  # noqa: PTH110

    def none_left() -> bool:
        left = inside()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    wait("the processes of the cluster are gone", none_left, 20)


def remove_files(*, logs: bool) -> None:
    """Removes the data of an earlier run; with the option, its logs stay until the next run."""
    for name in ("data", "pki", *(() if logs else ("logs",))):
        shutil.rmtree(HOME / name, ignore_errors=True)
