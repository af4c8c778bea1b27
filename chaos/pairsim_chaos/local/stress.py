"""`StressChaos` on local processes: workers that use CPU or memory in one control group with their target.

A container has a control group, which holds a node and its engine. Its workers compete with the two inside the group,
and the kernel picks its out-of-memory victim there. Local processes get such a group for the duration of the stress,
with the memory limit of their pods.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence

from pairsim_chaos.experiment.faults import StressFault
from pairsim_chaos.local.cgroups import ControlGroup, hierarchies
from pairsim_chaos.local.selection import TargetProcess
from pairsim_chaos.local.subprocesses import end
from pairsim_chaos.spec.quantities import parse_size
from pairsim_chaos.target import WorldError

MEMORY_LIMIT = 2**30
"""The memory limit of a simulator's container in manifests/base, in bytes."""

_CPU_WORKER = """
import sys, time
load = float(sys.argv[1])
while True:
    begin = time.perf_counter()
    while time.perf_counter() - begin < 0.01 * load / 100:
        pass
    time.sleep(0.01 * (1 - load / 100))
"""
_MEMORY_WORKER = """
import sys, time
taken = bytearray(int(sys.argv[1]))
while True:
    taken[::4096] = b"x" * len(taken[::4096])
    time.sleep(0.1)
"""
_RESTART_SECONDS = 0.5
_numbers = itertools.count(1)


def unsupported_reason(fault: StressFault) -> str:
    """Returns why this machine cannot inject the fault; empty if it can."""
    if fault.stressng_stressors:
        return "stressngStressors are options of stress-ng, which is not used here; write stressors instead"
    cpu, memory = fault.stressors.cpu, fault.stressors.memory
    if memory is not None and memory.size.endswith("%"):
        return "a size in % means the node's memory, which does not apply here; write the size in MB or GB"
    if any(part is not None and part.options for part in (cpu, memory)):
        return "the options belong to stress-ng, which is not used here"
    try:
        hierarchies(_controllers(fault))
    except WorldError as error:
        return str(error)
    return ""


def workers(fault: StressFault) -> list[tuple[str, str]]:
    """Returns the programs to run beside each target, each with its argument; the workers share the memory equally."""
    found = []
    cpu, memory = fault.stressors.cpu, fault.stressors.memory
    if cpu is not None:
        found += [(_CPU_WORKER, str(cpu.load))] * cpu.workers
    if memory is not None and memory.size:
        size = parse_size(memory.size) or 0.0
        found += [(_MEMORY_WORKER, str(int(size / memory.workers)))] * memory.workers
    return found


class StressInjection:
    """Workers that run until they are reverted; implements `ReversibleFault`."""

    def __init__(self, fault: StressFault, targets: Sequence[TargetProcess], prefix: str) -> None:
        """Creates the injection without starting a worker; the names of its groups start with `prefix`."""
        self._fault, self._targets, self._prefix = fault, targets, prefix
        self._groups: list[ControlGroup] = []
        self._workers: list[asyncio.Task[None]] = []

    async def apply(self) -> None:
        """Starts the workers.

        Raises:
            WorldError: A target is gone, or a control group cannot be created; call `revert` to remove the rest.
        """
        for target in self._targets:
            if target.pid is None:
                raise WorldError(f"{target.process} is not running")
            group = ControlGroup(f"{self._prefix}-{os.getpid()}-{next(_numbers)}", _controllers(self._fault))
            self._groups.append(group)
            if self._fault.stressors.memory is not None:
                group.limit_memory(MEMORY_LIMIT)
            group.add(target.pid)
            if target.engine_pid is not None:
                with contextlib.suppress(WorldError):  # it has just ended; the next one starts in the group of its node
                    group.add(target.engine_pid)
            for program, argument in workers(self._fault):
                self._workers.append(asyncio.create_task(_keep_running(group, program, argument)))

    def failure_reason(self) -> str:
        """Returns how many workers could not be kept running; a worker that ends is normally started again."""
        ended = [worker for worker in self._workers if worker.done()]
        of = "the worker" if len(self._workers) == 1 else f"{len(ended)} of {len(self._workers)} workers"
        return f"{of} could not be kept running" if ended else ""

    async def revert(self) -> None:
        """Ends the workers and removes the control groups."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for group in self._groups:
            group.close()


def _controllers(fault: StressFault) -> tuple[str, ...]:
    return ("cpu",) if fault.stressors.memory is None else ("cpu", "memory")


async def _keep_running(group: ControlGroup, program: str, argument: str) -> None:
    """Runs a worker, and starts it again whenever the kernel has killed it for memory, as stress-ng does.

    A worker that ends by itself stresses nothing, and is not started again.
    """
    process: Process | None = None
    try:
        while True:
            process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "TERM", sys.executable, "-P", "-S", "-c", program, argument),
                stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True,
            )  # fmt: skip
            with contextlib.suppress(WorldError):
                group.add(process.pid)
            if await process.wait() >= 0:
                return
            await asyncio.sleep(_RESTART_SECONDS)
    finally:
        if process is not None:
            await end(process)
