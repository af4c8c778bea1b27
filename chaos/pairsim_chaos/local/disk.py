"""`IOChaos` on local processes: strace delays their system calls or makes them fail.

Chaos Mesh mounts its own file system below the container's folder. strace(1) intercepts the same calls in the process;
it also slows all other calls a little, so the fault is somewhat worse than in a cluster.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

from pairsim.wording import duration
from pairsim_chaos.experiment.faults import IOFault
from pairsim_chaos.local.selection import TargetProcess
from pairsim_chaos.local.subprocesses import end
from pairsim_chaos.spec.quantities import parse_duration
from pairsim_chaos.target import WorldError

VOLUME = "/var/lib/pairsim"
"""The path in a pod that corresponds to the data folder of a local process."""

_CALLS = {
    "read": "read,pread64,readv,preadv,preadv2",
    "write": "write,pwrite64,writev,pwritev,pwritev2",
    "fsync": "fsync,fdatasync",
    "flush": "close",
    "fallocate": "fallocate",
}
_ATTACH_SECONDS = 10.0
_POLL_SECONDS = 0.02
_PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")


def unsupported_reason(fault: IOFault) -> str:
    """Returns why this machine cannot inject the fault; empty if it can."""
    if fault.action not in {"latency", "fault"}:
        return f"action {fault.action} needs the file system of Chaos Mesh; latency and fault work here"
    if fault.volume_path != VOLUME:
        return f"a local process has only the volume {VOLUME}, not the volumePath {fault.volume_path}"
    unknown = [method for method in fault.methods if method not in _CALLS]
    if unknown:
        return f"strace cannot affect {', '.join(unknown)}; it can affect {', '.join(_CALLS)}"
    if shutil.which("strace") is None:
        return "the command strace is missing"
    if _PTRACE_SCOPE.exists() and _PTRACE_SCOPE.read_text().strip() == "3":
        return "this machine forbids tracing processes (kernel.yama.ptrace_scope is 3)"
    return ""


def strace_command(fault: IOFault, files: Sequence[Path], pid: int) -> list[str]:
    """Returns the strace command that injects the fault into a process."""
    calls = ",".join(_CALLS[method] for method in (fault.methods or tuple(_CALLS)))
    if fault.action == "fault":
        injected = f"error={errno.errorcode.get(fault.errno, str(fault.errno))}"
    else:
        injected = f"delay_enter={int(1e6 * (parse_duration(fault.delay) or 0.0))}"
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


def matching_files(fault: IOFault, folder: Path) -> list[Path]:
    """Returns the files in a process's folder that the fault affects."""
    inner = fault.path.removeprefix(VOLUME).lstrip("/") or "**/*"
    return sorted(path for path in folder.glob(inner) if path.is_file())


class DiskInjection:
    """Tracers that stay attached until they are reverted; implements `ReversibleFault`."""

    def __init__(self, fault: IOFault, targets: Sequence[TargetProcess]) -> None:
        """Creates the injection without attaching a tracer."""
        self._fault, self._targets = fault, targets
        self._tracers: list[Process] = []

    async def apply(self) -> None:
        """Attaches a tracer to every target.

        Raises:
            WorldError: A target is gone, has no matching file, or cannot be traced.
        """
        for target in self._targets:
            if target.pid is None:
                raise WorldError(f"{target.process} is not running")
            found = matching_files(self._fault, Path(target.folder))
            if not found:
                raise WorldError(f"{target.process} has no file that matches {self._fault.path or VOLUME}")
            command = ("setpriv", "--pdeathsig", "TERM", *strace_command(self._fault, found, target.pid))
            tracer = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
            self._tracers.append(tracer)
            await _await_attached(tracer, target)

    def failure_reason(self) -> str:
        """Returns which tracer ended before its target; a target that ends takes its tracer with it, as it should."""
        for target, tracer in zip(self._targets, self._tracers, strict=False):
            if tracer.returncode is not None and Path(f"/proc/{target.pid}").exists():
                return f"strace of {target.process} ended"
        return ""

    async def revert(self) -> None:
        """Detaches all tracers that are still running."""
        for tracer in self._tracers:
            await end(tracer)


async def _await_attached(tracer: Process, target: TargetProcess) -> None:
    """Waits until all threads of the target are traced.

    The fault may end the target before a look sees the tracer attached; then the tracer ends with exit code 0.

    Raises:
        WorldError: The tracer failed, or did not attach in time.
    """
    end_at = asyncio.get_running_loop().time() + _ATTACH_SECONDS
    while asyncio.get_running_loop().time() < end_at:
        if tracer.returncode == 0:
            return
        if tracer.returncode is not None:
            errors = await tracer.stderr.read(1000) if tracer.stderr else b""
            raise WorldError(f"{target.process} cannot be traced: {errors.decode(errors='replace').strip()}")
        if _all_threads_traced(target.pid):
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise WorldError(f"{target.process} cannot be traced: strace did not attach within {duration(_ATTACH_SECONDS)}")


def _all_threads_traced(pid: int | None) -> bool:
    try:
        statuses = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    except OSError:
        return False
    return bool(statuses) and all("TracerPid:\t0\n" not in status for status in statuses)
