"""`NetworkChaos` between local processes that have network namespaces of their own.

A cut is a rule of iptables. Anything else is a queue: `packet_shaper` releases its packets as the link would.
Either is made where packets leave a process, so that the two directions of a link are two places.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence

import msgspec

from pairsim_chaos.experiment.faults import NetworkFault
from pairsim_chaos.local.network.packet_shaper import MARK
from pairsim_chaos.local.network.shape_model import Shape
from pairsim_chaos.local.selecting import LocalProcess
from pairsim_chaos.local.subprocesses import end, run, start
from pairsim_chaos.spec.quantities import bits_per_second, seconds
from pairsim_chaos.target import WorldError

_TOOLS = ("iptables", "nsenter")
_CHAIN = "PAIRSIM"
_GRACE = 60.0
_numbers = itertools.count(1)


class Link(msgspec.Struct, frozen=True):
    """One direction of a link.

    Attributes:
        peer: The address of the other side; empty for all.
        incoming: Whether packets are met where they arrive; else where they leave.
    """

    process: LocalProcess
    peer: str
    incoming: bool = False


def refusal(fault: NetworkFault, processes: Sequence[LocalProcess]) -> str:
    """Why it cannot be made here; empty if it can."""
    if fault.external_targets:
        return "externalTargets mean hosts outside of the world, and a local world has none"
    if fault.device or fault.target_device:
        return "a device cannot be chosen in a local world"
    if fault.delay is not None and fault.delay.reorder is not None:
        return "reordering by a share of the packets is netem's alone: jitter reorders here"
    if os.geteuid() != 0:
        return "links are cut and made bad by root alone"
    if not all(process.network for process in processes):
        return "its processes share one network: start the world with `pairsim up --isolate`"
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            return f"the command {tool} is missing"
    return ""


def links(fault: NetworkFault, sources: Sequence[LocalProcess], targets: Sequence[LocalProcess] | None) -> list[Link]:
    """Where packets are met: on their way from sources to targets (`to`), the other way, or both.

    Without targets (None) it is everything that the sources send or get.
    """
    found = []
    if targets is None:
        if fault.direction in {"to", "both"}:
            found += [Link(source, "") for source in sources]
        if fault.direction in {"from", "both"}:
            found += [Link(source, "", incoming=True) for source in sources]
        return found
    pairs = [(s, t) for s, t in itertools.product(sources, targets) if s.process != t.process]
    if fault.direction in {"to", "both"}:
        found += [Link(source, target.host) for source, target in pairs]
    if fault.direction in {"from", "both"}:
        found += [Link(target, source.host) for source, target in pairs]
    return list(dict.fromkeys(found))


def shape(fault: NetworkFault) -> Shape | None:
    """Of the links; None for a cut."""
    if fault.action == "partition":
        return None
    parts = (fault.delay, fault.loss, fault.duplicate, fault.corrupt)
    correlation = max((float(part.correlation) for part in parts if part is not None), default=0.0) / 100
    bandwidth = fault.bandwidth
    return Shape(
        latency=(seconds(fault.delay.latency) or 0.0) if fault.delay else 0.0,
        jitter=(seconds(fault.delay.jitter) or 0.0) if fault.delay else 0.0,
        loss=float(fault.loss.loss) / 100 if fault.loss else 0.0,
        duplicate=float(fault.duplicate.duplicate) / 100 if fault.duplicate else 0.0,
        corrupt=float(fault.corrupt.corrupt) / 100 if fault.corrupt else 0.0,
        correlation=correlation,
        rate=(bits_per_second(bandwidth.rate) or 0) / 8 if bandwidth else 0.0,
        limit=bandwidth.limit + bandwidth.buffer if bandwidth else 0,
    )


class NetworkInjection:
    """Rules and shapers that are there until they are taken back."""

    def __init__(self, fault: NetworkFault, found: Sequence[Link], lasting: float) -> None:
        """Nothing is done yet; `lasting` is in seconds."""
        self._shape = shape(fault)
        self._by_process: dict[str, tuple[LocalProcess, list[Link]]] = {}
        for link in found:
            self._by_process.setdefault(link.process.process, (link.process, []))[1].append(link)
        self._lasting = lasting
        self._number = next(_numbers)
        self._chain = f"{_CHAIN}{os.getpid()}N{self._number}"
        self._shapers: list[Process] = []
        self._entered: list[LocalProcess] = []

    async def make(self) -> None:
        """Makes all of it.

        Raises:
            WorldError: Not all of it could be made; what was is still there.
        """
        for process, found in self._by_process.values():
            if self._shape is not None:
                await self._start_shaper(process, self._shape)
            self._entered.append(process)
            await _iptables(process, "-N", self._chain)
            for link in found:
                await _iptables(process, "-A", self._chain, *self._rule(link))
            for hook in sorted({"INPUT" if link.incoming else "OUTPUT" for link in found}):
                await _iptables(process, "-I", hook, "-j", self._chain)

    def broken(self) -> str:
        """See `Undoable`; rules stay, shapers may end."""
        ended = [shaper.pid for shaper in self._shapers if shaper.returncode is not None]
        return f"{len(ended)} of {len(self._shapers)} processes that shape packets ended" if ended else ""

    async def undo(self) -> None:
        """Takes all of it away; a process whose network is gone needs nothing.

        Raises:
            WorldError: A rule cannot be taken away.
        """
        failed = []
        for process in self._entered:
            if not os.path.exists(process.network):  # noqa: ASYNC240, PTH110 - a blink, on a file system in memory
                continue
            try:
                await _remove(process, self._chain)
            except WorldError as error:
                failed.append(str(error))
        for shaper in self._shapers:
            await end(shaper)
        if failed:
            raise WorldError("; ".join(failed))

    async def _start_shaper(self, process: LocalProcess, shape_: Shape) -> None:
        words = (str(self._number), msgspec.json.encode(shape_).decode(), str(self._lasting + _GRACE))
        command = (*_entering(process), sys.executable, "-m", "pairsim_chaos.local.network.packet_shaper", *words)
        self._shapers.append(await start(*command, ready="ready"))

    def _rule(self, link: Link) -> tuple[str, ...]:
        peer = (
            ("-s" if link.incoming else "-d", link.peer) if link.peer else ("!", "-i" if link.incoming else "-o", "lo")
        )
        if self._shape is None:
            return (*peer, "-j", "DROP")
        marked = ("-m", "mark", "!", "--mark", str(MARK))
        return (*peer, *marked, "-j", "NFQUEUE", "--queue-num", str(self._number), "--queue-bypass")


def _entering(process: LocalProcess) -> tuple[str, ...]:
    return ("nsenter", f"--net={process.network}", "--")


async def _iptables(process: LocalProcess, *words: str) -> None:
    await run(*_entering(process), "iptables", "-w", *words)


async def remove_left_overs(processes: Sequence[LocalProcess]) -> list[str]:
    """Takes away what runs that were killed left; nobody else may be at work. The processes that it was found at.

    Raises:
        WorldError: It cannot be taken away.
    """
    found = []
    for process in processes:
        if not process.network or not os.path.exists(process.network):  # noqa: ASYNC240, PTH110 - as above
            continue
        listed = await run(*_entering(process), "iptables", "-w", "-S")
        chains = [words[1] for line in listed.splitlines() if (words := line.split())[0] == "-N"]
        for chain in (chain for chain in chains if chain.startswith(_CHAIN)):
            await _remove(process, chain)
            found.append(process.process)
    return list(dict.fromkeys(found))


async def _remove(process: LocalProcess, chain: str) -> None:
    """Takes a chain away, however much of it was made."""
    listed = (await run(*_entering(process), "iptables", "-w", "-S")).splitlines()
    for hook in ("INPUT", "OUTPUT"):
        if f"-A {hook} -j {chain}" in listed:
            await _iptables(process, "-D", hook, "-j", chain)
    if f"-N {chain}" in listed:
        await _iptables(process, "-F", chain)
        await _iptables(process, "-X", chain)
