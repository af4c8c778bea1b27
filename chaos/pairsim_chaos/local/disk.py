"""`IOChaos` on local processes: strace changes what their system calls give, or makes them late.

Chaos Mesh puts a file system of its own below the container's folder. strace(1) meets the same calls in the process,
and slows all of its other calls a little too: the fault is somewhat worse than in a cluster.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

from pairsim_chaos.experiment.faults import IOFault
from pairsim_chaos.local.selecting import LocalProcess
from pairsim_chaos.local.subprocesses import end
from pairsim_chaos.spec.quantities import seconds
from pairsim_chaos.target import WorldError

VOLUME = "/var/lib/pairsim"
"""Where a pod has what a local process has in its folder."""

_CALLS = {
    "read": "read,pread64,readv,preadv,preadv2",
    "write": "write,pwrite64,writev,pwritev,pwritev2",
    "fsync": "fsync,fdatasync",
    "flush": "close",
    "fallocate": "fallocate",
}
_ATTACHED = 10.0
_LOOK = 0.02
_PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


def refusal(fault: IOFault) -> str:
    """Why it cannot be made here; empty if it can."""
    if fault.action not in {"latency", "fault"}:
        return f"{fault.action} needs the file system that Chaos Mesh puts below a process; latency and fault do not"
    if fault.volume_path != VOLUME:
        return f"volumePath {fault.volume_path} is not what a process has on disk: that is {VOLUME}"
    unknown = [method for method in fault.methods if method not in _CALLS]
    if unknown:
        return f"the method(s) {', '.join(unknown)} cannot be met by system calls; {', '.join(_CALLS)} can"
    if shutil.which("strace") is None:
        return "the command strace is missing"
    if _PTRACE_SCOPE.exists() and _PTRACE_SCOPE.read_text().strip() == "3":
        return "this machine lets nobody trace a process (kernel.yama.ptrace_scope is 3)"
    return ""


def words(fault: IOFault, files: Sequence[Path], pid: int) -> list[str]:
    """The command."""
    calls = ",".join(_CALLS[method] for method in (fault.methods or tuple(_CALLS)))
    if fault.action == "fault":
        injected = f"error={errno.errorcode.get(fault.errno, str(fault.errno))}"
    else:
        injected = f"delay_enter={int(1e6 * (seconds(fault.delay) or 0.0))}"
    when = f":when=1+{max(1, round(100 / fault.percent))}" if fault.percent else ""
    traced = [word for path in files for word in ("-P", str(path))]
    return [
        "strace",
        "-qq",
        "-f",
        "-p",
        str(pid),
        *traced,
        "-e",
        f"trace={calls}",
        "-e",
        f"inject={calls}:{injected}{when}",
        "-o",
        "/dev/null",
    ]


def files(fault: IOFault, folder: Path) -> list[Path]:
    """Of a process's folder, those that the fault is about."""
    inner = fault.path.removeprefix(VOLUME).lstrip("/") or "**/*"
    return sorted(path for path in folder.glob(inner) if path.is_file())


class DiskInjection:
    """Tracers that stay until they are taken back."""

    def __init__(self, fault: IOFault, targets: Sequence[LocalProcess]) -> None:
        """Nothing is done yet."""
        self._fault, self._targets = fault, targets
        self._tracers: list[Process] = []

    async def make(self) -> None:
        """Attaches them.

        Raises:
            WorldError: A target is gone, has no such file, or cannot be traced.
        """
        for target in self._targets:
            if target.pid is None:
                raise WorldError(f"{target.process} does not run")
            found = files(self._fault, Path(target.folder))
            if not found:
                raise WorldError(f"{target.process} has no file {self._fault.path}")
            command = ("setpriv", "--pdeathsig", "TERM", *words(self._fault, found, target.pid))
            tracer = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            self._tracers.append(tracer)
            await _attached(tracer, target)

    def broken(self) -> str:
        """See `Undoable`; a target that ends takes its tracer along, as it should."""
        for target, tracer in zip(self._targets, self._tracers, strict=False):
            if tracer.returncode is not None and Path(f"/proc/{target.pid}").exists():
                return f"strace of {target.process} ended"
        return ""

    async def undo(self) -> None:
        """Lets go of the targets; those that ended took their tracers along."""
        for tracer in self._tracers:
            await end(tracer)


async def _attached(tracer: Process, target: LocalProcess) -> None:
    """Waits until all threads are traced.

    Raises:
        WorldError: They are not.
    """
    end_at = asyncio.get_running_loop().time() + _ATTACHED
    while asyncio.get_running_loop().time() < end_at:
        if tracer.returncode is not None:
            told = await tracer.stderr.read(1000) if tracer.stderr else b""
            raise WorldError(f"{target.process} cannot be traced: {told.decode(errors='replace').strip()}")
        if _traced(target.pid):
            return
        await asyncio.sleep(_LOOK)
    raise WorldError(f"{target.process} cannot be traced: strace did not attach within {_ATTACHED:g} s")


def _traced(pid: int | None) -> bool:
    try:
        statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    except OSError:
        return False
    return bool(statuses) and all("TracerPid:\t0\n" not in status for status in statuses)
