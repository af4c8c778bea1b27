"""`StressChaos` on local processes: workers that are busy or take memory, in one control group with their target.

A container has a control group, so that its workers take from it and the kernel picks a victim in it. Local processes
get one for the time of the stress, with the limit of memory that their pods have.
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
from pairsim_chaos.local.cgroups import Group, hierarchies
from pairsim_chaos.local.selecting import LocalProcess
from pairsim_chaos.local.subprocesses import end
from pairsim_chaos.spec.quantities import size_bytes
from pairsim_chaos.target import WorldError

MEMORY_LIMIT = 2**30
"""Bytes; of a simulator's container in manifests/base."""

_BUSY = """
import sys, time
load = float(sys.argv[1])
while True:
    begin = time.perf_counter()
    while time.perf_counter() - begin < 0.01 * load / 100:
        pass
    time.sleep(0.01 * (1 - load / 100))
"""
_TAKES = """
import sys, time
taken = bytearray(int(sys.argv[1]))
while True:
    taken[::4096] = b"x" * len(taken[::4096])
    time.sleep(0.1)
"""
_AGAIN = 0.5
_numbers = itertools.count(1)


def refusal(fault: StressFault) -> str:
    """Why it cannot be made here; empty if it can."""
    if fault.stressng_stressors:
        return "stressngStressors are options of stress-ng, which is not used here; write stressors"
    cpu, memory = fault.stressors.cpu, fault.stressors.memory
    if memory is not None and memory.size.endswith("%"):
        return "a size in % is a share of the node's memory, and here the container has its own; write it in MB or GB"
    if any(part is not None and part.options for part in (cpu, memory)):
        return "options are those of stress-ng, which is not used here"
    try:
        hierarchies(_controllers(fault))
    except WorldError as error:
        return str(error)
    return ""


def workers(fault: StressFault) -> list[tuple[str, str]]:
    """The programs to run beside each target, each with its argument; workers share the memory among them."""
    found = []
    cpu, memory = fault.stressors.cpu, fault.stressors.memory
    if cpu is not None:
        found += [(_BUSY, str(cpu.load))] * cpu.workers
    if memory is not None and memory.size:
        size = size_bytes(memory.size) or 0.0
        found += [(_TAKES, str(int(size / memory.workers)))] * memory.workers
    return found


class StressInjection:
    """Workers that run until they are taken back."""

    def __init__(self, fault: StressFault, targets: Sequence[LocalProcess], mark: str) -> None:
        """Nothing is done yet; groups are named after `mark`."""
        self._fault, self._targets, self._mark = fault, targets, mark
        self._groups: list[Group] = []
        self._keepers: list[asyncio.Task[None]] = []

    async def make(self) -> None:
        """Starts the workers.

        Raises:
            WorldError: A target is gone, or there is no control group; what was made is still there.
        """
        for target in self._targets:
            if target.pid is None:
                raise WorldError(f"{target.process} does not run")
            group = Group(f"{self._mark}-{os.getpid()}-{next(_numbers)}", _controllers(self._fault))
            self._groups.append(group)
            if self._fault.stressors.memory is not None:
                group.limit_memory(MEMORY_LIMIT)
            group.add(target.pid)
            for program, argument in workers(self._fault):
                self._keepers.append(asyncio.create_task(_keep(group, program, argument)))

    def broken(self) -> str:
        """See `Undoable`; a worker that ended is started again."""
        ended = [keeper for keeper in self._keepers if keeper.done()]
        return f"{len(ended)} of {len(self._keepers)} workers could not be kept running" if ended else ""

    async def undo(self) -> None:
        """Ends them."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for group in self._groups:
            group.close()


def _controllers(fault: StressFault) -> tuple[str, ...]:
    return ("cpu",) if fault.stressors.memory is None else ("cpu", "memory")


async def _keep(group: Group, program: str, argument: str) -> None:
    """A worker, and another one when the kernel picked it as its victim; as stress-ng does."""
    process: Process | None = None
    try:
        while True:
            process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "TERM", sys.executable, "-S", "-c", program, argument),
                stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True,
            )  # fmt: skip
            with contextlib.suppress(WorldError):
                group.add(process.pid)
            await process.wait()
            await asyncio.sleep(_AGAIN)
    finally:
        if process is not None:
            await end(process)
