"""`NetworkChaos` between local processes that have their own network namespaces.

A partition is a rule of iptables that drops packets. All other faults send packets through a queue, from which
`packet_shaper` releases them as a bad link would. Both apply where packets leave a process, so that each direction of a
link is configured separately.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence

import msgspec

from pairsim.addresses import is_ipv6
from pairsim_chaos.experiment.faults import NetworkFault
from pairsim_chaos.local.network.packet_shaper import MARK
from pairsim_chaos.local.network.shape_model import Shape
from pairsim_chaos.local.selection import TargetProcess
from pairsim_chaos.local.subprocesses import end, run, start
from pairsim_chaos.spec.quantities import parse_duration, parse_rate
from pairsim_chaos.target import WorldError

_TOOLS = ("iptables", "nsenter")
_CHAIN = "PAIRSIM"
_SHAPER_GRACE_SECONDS = 60.0
_numbers = itertools.count(1)


class NetworkLink(msgspec.Struct, frozen=True):
    """One direction of a link, at the process where the fault applies.

    Attributes:
        process: The process whose network namespace is configured.
        peer: The address of the other side; empty for all addresses.
        incoming: Whether the fault applies to packets that arrive; otherwise to packets that leave.
    """

    process: TargetProcess
    peer: str
    incoming: bool = False


def unsupported_reason(fault: NetworkFault, processes: Sequence[TargetProcess]) -> str:
    """Returns why this machine cannot inject the fault; empty if it can."""
    if fault.external_targets:
        return "externalTargets are hosts outside the world, which a local world does not have"
    if fault.device or fault.target_device:
        return "a local world does not support the choice of a network device"
    if fault.delay is not None and fault.delay.reorder is not None:
        return "only netem can reorder a share of the packets; jitter reorders packets here"
    if os.geteuid() != 0:
        return "faults of links need root"
    if not all(process.network for process in processes):
        return "the processes share one network: start the world with `pairsim up --isolate`"
    if any(is_ipv6(process.host) for process in processes):
        return "faults of links are rules of iptables for IPv4: start the world with the addresses of --isolate"
    for tool in _TOOLS:
        if shutil.which(tool) is None:
            return f"the command {tool} is missing"
    return ""


def links(
    fault: NetworkFault, sources: Sequence[TargetProcess], targets: Sequence[TargetProcess] | None
) -> list[NetworkLink]:
    """Returns the links that the fault affects: from sources to targets (`to`), the other way (`from`), or both.

    Without targets (None), the fault affects everything that the sources send or receive.
    """
    found = []
    if targets is None:
        if fault.direction in {"to", "both"}:
            found += [NetworkLink(source, "") for source in sources]
        if fault.direction in {"from", "both"}:
            found += [NetworkLink(source, "", incoming=True) for source in sources]
        return found
    pairs = [(s, t) for s, t in itertools.product(sources, targets) if s.process != t.process]
    if fault.direction in {"to", "both"}:
        found += [NetworkLink(source, target.host) for source, target in pairs]
    if fault.direction in {"from", "both"}:
        found += [NetworkLink(target, source.host) for source, target in pairs]
    return list(dict.fromkeys(found))


def shape(fault: NetworkFault) -> Shape | None:
    """Returns the shape of the affected links; None for a partition."""
    if fault.action == "partition":
        return None
    parts = (fault.delay, fault.loss, fault.duplicate, fault.corrupt)
    correlation = max((float(part.correlation) for part in parts if part is not None), default=0.0) / 100
    bandwidth = fault.bandwidth
    return Shape(
        latency=(parse_duration(fault.delay.latency) or 0.0) if fault.delay else 0.0,
        jitter=(parse_duration(fault.delay.jitter) or 0.0) if fault.delay else 0.0,
        loss=float(fault.loss.loss) / 100 if fault.loss else 0.0,
        duplicate=float(fault.duplicate.duplicate) / 100 if fault.duplicate else 0.0,
        corrupt=float(fault.corrupt.corrupt) / 100 if fault.corrupt else 0.0,
        correlation=correlation,
        rate=(parse_rate(bandwidth.rate) or 0) / 8 if bandwidth else 0.0,
        limit=bandwidth.limit + bandwidth.buffer if bandwidth else 0,
    )


class NetworkInjection:
    """Rules and packet shapers that stay until they are reverted; implements `ReversibleFault`."""

    def __init__(self, fault: NetworkFault, affected: Sequence[NetworkLink], duration: float) -> None:
        """Creates the injection without changing a network; `duration` is in seconds."""
        self._shape = shape(fault)
        self._by_process: dict[str, tuple[TargetProcess, list[NetworkLink]]] = {}
        for link in affected:
            self._by_process.setdefault(link.process.process, (link.process, []))[1].append(link)
        self._duration = duration
        self._number = next(_numbers)
        self._chain = f"{_CHAIN}{os.getpid()}N{self._number}"
        self._shapers: list[Process] = []
        self._configured: list[TargetProcess] = []

    async def apply(self) -> None:
        """Adds all rules and starts the shapers.

        Raises:
            WorldError: A rule or shaper failed; call `revert` to remove the rest.
        """
        for process, affected in self._by_process.values():
            if self._shape is not None:
                await self._start_shaper(process, self._shape)
            self._configured.append(process)
            await _iptables(process, "-N", self._chain)
            for link in affected:
                await _iptables(process, "-A", self._chain, *self._rule(link))
            for hook in sorted({"INPUT" if link.incoming else "OUTPUT" for link in affected}):
                await _iptables(process, "-I", hook, "-j", self._chain)

    def failure_reason(self) -> str:
        """Returns how many shapers have ended; rules of iptables stay by themselves."""
        ended = [shaper.pid for shaper in self._shapers if shaper.returncode is not None]
        of = "the process" if len(self._shapers) == 1 else f"{len(ended)} of {len(self._shapers)} processes"
        return f"{of} that shaped packets ended" if ended else ""

    async def revert(self) -> None:
        """Removes all rules and ends the shapers; a network namespace that is gone needs no cleanup.

        Raises:
            WorldError: A rule cannot be removed.
        """
        failed = []
        for process in self._configured:
            if not os.path.exists(process.network):  # noqa: ASYNC240, PTH110 - a fast call on a file system in memory
                continue
            try:
                await _remove(process, self._chain)
            except WorldError as error:
                failed.append(str(error))
        for shaper in self._shapers:
            await end(shaper)
        if failed:
            raise WorldError("; ".join(failed))

    async def _start_shaper(self, process: TargetProcess, shape_: Shape) -> None:
        words = (str(self._number), msgspec.json.encode(shape_).decode(), str(self._duration + _SHAPER_GRACE_SECONDS))
        command = (*_nsenter(process), sys.executable, "-P", "-m", "pairsim_chaos.local.network.packet_shaper", *words)
        self._shapers.append(await start(*command, ready="ready"))

    def _rule(self, link: NetworkLink) -> tuple[str, ...]:
        peer = (
            ("-s" if link.incoming else "-d", link.peer) if link.peer else ("!", "-i" if link.incoming else "-o", "lo")
        )
        if self._shape is None:
            return (*peer, "-j", "DROP")
        marked = ("-m", "mark", "!", "--mark", str(MARK))
        return (*peer, *marked, "-j", "NFQUEUE", "--queue-num", str(self._number), "--queue-bypass")


def _nsenter(process: TargetProcess) -> tuple[str, ...]:
    return ("nsenter", f"--net={process.network}", "--")


async def _iptables(process: TargetProcess, *words: str) -> None:
    await run(*_nsenter(process), "iptables", "-w", *words)


async def remove_leftovers(processes: Sequence[TargetProcess]) -> list[str]:
    """Removes the chains that killed runs have left behind; returns the names of the affected processes.

    The caller must hold the lock of the world, because the chains of a running experiment would be removed as well.

    Raises:
        WorldError: A chain cannot be removed.
    """
    found = []
    for process in processes:
        if not process.network or not os.path.exists(process.network):  # noqa: ASYNC240, PTH110 - as above
            continue
        listed = await run(*_nsenter(process), "iptables", "-w", "-S")
        chains = [words[1] for line in listed.splitlines() if (words := line.split())[0] == "-N"]
        for chain in (chain for chain in chains if chain.startswith(_CHAIN)):
            await _remove(process, chain)
            found.append(process.process)
    return list(dict.fromkeys(found))


async def _remove(process: TargetProcess, chain: str) -> None:
    """Removes a chain and its hooks, however much of it was created."""
    listed = (await run(*_nsenter(process), "iptables", "-w", "-S")).splitlines()
    for hook in ("INPUT", "OUTPUT"):
        if f"-A {hook} -j {chain}" in listed:
            await _iptables(process, "-D", hook, "-j", chain)
    if f"-N {chain}" in listed:
        await _iptables(process, "-F", chain)
        await _iptables(process, "-X", chain)
