"""A local world as a target: observed through the API of `pairsim up`, attacked with the faults of this machine."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar, assert_never

import aiohttp
import msgspec

from pairsim.addresses import http_url
from pairsim.model.world_status import WorldStatus
from pairsim_chaos.experiment.faults import EngineFault, Fault, IOFault, NetworkFault, PodFault, StressFault, TimeFault
from pairsim_chaos.experiment.model import Experiment, Schedule, Spec, StatusCheck, Workflow
from pairsim_chaos.local import cgroups, disk, engines, stress
from pairsim_chaos.local.active_fault import ActiveFault, ReversibleFault
from pairsim_chaos.local.network import injection as network
from pairsim_chaos.local.run_lock import RunLock
from pairsim_chaos.local.selection import (
    TargetProcess,
    candidates,
    choose,
    missing_container,
    nothing_chosen,
    unsupported_selector,
)
from pairsim_chaos.local.workflow_run import WorkflowRun
from pairsim_chaos.run.cleanup import run_to_completion
from pairsim_chaos.target import (
    AreaView,
    Injection,
    StatusCheckHandler,
    TargetPod,
    UnsupportedFaultError,
    WorldError,
    WorldSnapshot,
)

_TIMEOUT_SECONDS = 10.0
_DEFAULT_DURATION_SECONDS = 3600.0
_LABEL_POLL_SECONDS = 0.1
T = TypeVar("T")


class LocalTarget:
    """The world of one `pairsim up`; use it as an async context manager."""

    def __init__(
        self, host: str, port: int, *, max_duration: float, seed: int, injects: bool, log: Callable[[str], None]
    ) -> None:
        """Creates a target that is not open yet.

        Args:
            host: The host of the world's API.
            port: The port of the world's API.
            max_duration: The longest duration of a fault in seconds, whatever its file says.
            seed: The seed of random choices.
            injects: Whether faults are going to be injected; the target then takes the lock of the world.
            log: Receives a sentence when leftovers of a killed run are removed.
        """
        self._url, self._port, self._max_duration = http_url(host, port), port, max_duration
        self._injects, self._log = injects, log
        self._lock: RunLock | None = None
        self._random = random.Random(seed)  # noqa: S311 - the choice of processes needs no secrecy
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Opens the target, and removes the leftovers of killed runs if faults are going to be injected.

        Raises:
            WorldError: Another run holds the lock of the world.
        """
        if self._injects:
            self._lock = RunLock(self._port)
        self._http = aiohttp.ClientSession(self._url, timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS))
        if self._injects:
            await self._remove_leftovers()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()
        if self._lock is not None:
            self._lock.close()

    async def _remove_leftovers(self) -> None:
        """Removes the rules and control groups that killed runs have left behind."""
        try:
            left = await network.remove_leftovers(await self._processes())
            if left:
                self._log(f"removed the rules that a killed run had left at {', '.join(left)}")
        except WorldError as error:
            self._log(f"cannot look for leftovers of killed runs: {error}")
        if os.geteuid() == 0 and cgroups.remove_leftovers(self._group_prefix):
            self._log("removed the control groups that a killed run had left")

    @property
    def _group_prefix(self) -> str:
        return f"pairsim-chaos-{self._port}"

    async def snapshot(self) -> WorldSnapshot:
        """Returns the areas and processes that `pairsim up` reports.

        Raises:
            WorldError: The world does not answer.
        """
        world, processes = await asyncio.gather(self._request("/v1/world", WorldStatus), self._processes())
        areas = [AreaView(each.area, each.plane, each.bounds, each.redundant, each.missing) for each in world.areas]
        pods = [
            TargetPod(each.process, each.kind, each.area, each.role, each.url if each.pid else "") for each in processes
        ]
        return WorldSnapshot(tuple(areas), tuple(pods))

    async def watch_labels(self, on_labels: Callable[[str, frozenset[str]], None]) -> None:
        """Polls the roles of all processes and passes the active ones of each area to `on_labels`, until cancelled."""
        while True:
            try:
                processes = await self._processes()
            except WorldError:
                processes = []
            for area in {each.area for each in processes} - {""}:
                active = (each.process for each in processes if each.area == area and each.role == "active")
                on_labels(area, frozenset(active))
            await asyncio.sleep(_LABEL_POLL_SECONDS)

    async def unsupported_reason(self, experiment: Experiment) -> str:
        """Returns why this machine cannot run the experiment, or an empty string if it can."""
        processes = await self._processes()
        faults = _faults(experiment.spec)
        reasons = (self._unsupported_fault(fault, processes) for fault in faults)
        if reason := next(filter(None, reasons), ""):
            return reason
        raising = (each for each in faults if isinstance(each, EngineFault) and each.action == "raise")
        try:
            for each in raising:
                await engines.check_raising(candidates(each, processes))
        except UnsupportedFaultError as error:
            return str(error)
        return ""

    async def inject(self, experiment: Experiment, handler: StatusCheckHandler) -> Injection:
        """Starts an experiment; a schedule runs its job once, at once.

        Raises:
            UnsupportedFaultError: This machine cannot inject the fault.
            WorldError: The injection failed; everything of it was removed again.
        """
        spec = experiment.spec
        if isinstance(spec, Workflow):
            return WorkflowRun(spec, self._inject_fault, handler, self._max_duration)
        if isinstance(spec, Schedule):
            job = spec.job
            if isinstance(job, Workflow):
                return WorkflowRun(job, self._inject_fault, handler, self._max_duration)
            return await self._inject_fault(job, None)
        if isinstance(spec, StatusCheck):
            raise UnsupportedFaultError("a StatusCheck cannot run alone: use it in a Workflow")
        return await self._inject_fault(spec, None)

    # --- faults

    async def _inject_fault(self, fault: Fault, deadline: float | None) -> ActiveFault:
        """Injects a fault; `deadline` is the deadline of its template in seconds, or None."""
        processes = await self._processes()
        reason = self._unsupported_fault(fault, processes)
        if reason:
            raise UnsupportedFaultError(reason)
        sources = choose(fault, processes, self._random)
        if not sources:
            raise WorldError(nothing_chosen(fault, processes))
        reason = missing_container(fault, sources)
        if reason:
            raise UnsupportedFaultError(reason)
        duration = min(fault.duration_seconds or deadline or _DEFAULT_DURATION_SECONDS, self._max_duration)
        if isinstance(fault, PodFault):
            downtime = Downtime(self, sources) if fault.action == "pod-failure" else None
            try:
                await self._end_processes(fault, sources, duration)
            except BaseException:
                if downtime is not None:
                    await run_to_completion(downtime.revert())
                raise
            return ActiveFault(sources, 0.0 if fault.instant else duration, downtime)
        reversible = self._reversible(fault, sources, processes, duration)
        try:
            await reversible.apply()
        except BaseException:
            await run_to_completion(reversible.revert())
            raise
        instant = isinstance(fault, EngineFault) and fault.instant
        return ActiveFault(sources, 0.0 if instant else duration, reversible)

    def _reversible(
        self,
        fault: NetworkFault | StressFault | IOFault | TimeFault | EngineFault,
        sources: Sequence[TargetProcess],
        processes: Sequence[TargetProcess],
        duration: float,
    ) -> ReversibleFault:
        match fault:
            case NetworkFault():
                targets = None if fault.target is None else choose(fault.target, processes, self._random)
                affected = network.links(fault, sources, targets)
                if not affected:
                    raise WorldError("the fault affects no link: its target has to be another process of the world")
                return network.NetworkInjection(fault, affected, duration)
            case StressFault():
                return stress.StressInjection(fault, sources, self._group_prefix)
            case IOFault():
                return disk.DiskInjection(fault, sources)
            case EngineFault():
                return engines.EngineInjection(fault, sources, duration, self._signal_engine)
            case TimeFault():
                raise UnsupportedFaultError(_CLOCKS_UNSUPPORTED)
            case _:
                assert_never(fault)

    async def _end_processes(self, fault: PodFault, sources: Sequence[TargetProcess], duration: float) -> None:
        for source in sources:
            body: dict[str, object] = {"process": source.process}
            if fault.action == "pod-kill":
                body |= {"fresh": True, "grace": float(fault.grace_period)}
            elif fault.action == "pod-failure":
                body["away"] = duration
            await self._request("/v1/processes/end", dict[str, object], body)

    async def _signal_engine(self, process: str, engine: int, signal: str) -> None:
        body: dict[str, object] = {"process": process, "signal": signal, "pid": engine}
        await self._request("/v1/processes/signal-engine", dict[str, object], body)

    async def restart(self, process: str) -> None:
        """Starts a process that is down.

        Raises:
            WorldError: The world does not answer, or does not have the process.
        """
        await self._request("/v1/processes/start", dict[str, object], {"process": process})

    def _unsupported_fault(self, fault: Fault | str, processes: Sequence[TargetProcess]) -> str:
        """Returns why this machine cannot inject the fault; a string in place of a fault is such a reason already."""
        if isinstance(fault, str):
            return fault
        selections = [fault, *([fault.target] if isinstance(fault, NetworkFault) and fault.target else [])]
        reason = next(filter(None, map(unsupported_selector, selections)), "")
        if reason:
            return reason
        match fault:
            case PodFault():
                return destroys_area(fault, processes)
            case NetworkFault():
                return network.unsupported_reason(fault, processes)
            case StressFault():
                return stress.unsupported_reason(fault) if os.geteuid() == 0 else "control groups need root"
            case IOFault():
                return disk.unsupported_reason(fault)
            case EngineFault():
                return ""
            case TimeFault():
                return _CLOCKS_UNSUPPORTED

    # --- the world's API

    async def _processes(self) -> list[TargetProcess]:
        return await self._request("/v1/processes", list[TargetProcess])

    async def _request(self, path: str, kind: type[T], body: dict[str, object] | None = None) -> T:
        if self._http is None:
            raise WorldError("the world was not opened")
        try:
            call = self._http.get(path) if body is None else self._http.post(path, json=body)
            async with call as answer:
                data = await answer.read()
                if answer.status != 200:
                    raise WorldError(f"the world answered {answer.status}: {data[:500].decode(errors='replace')}")
            return msgspec.json.decode(data, type=kind)
        except aiohttp.ClientConnectorError as error:
            raise WorldError(
                f"no world answers at {self._url}: start one with `pairsim up WORLD.yaml`, with --isolate for"
                " faults of links, or pass its --port"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise WorldError(f"the world at {self._url} does not answer: {str(error) or 'timeout'}") from error
        except msgspec.MsgspecError as error:
            raise WorldError(f"the server at {self._url} is not a world of this version: {error}") from error


class Downtime:
    """Processes that were ended for a limited time; implements `ReversibleFault`."""

    def __init__(self, target: LocalTarget, processes: Sequence[TargetProcess]) -> None:
        """Creates the downtime of processes that are ended for a limited time."""
        self._target, self._processes = target, processes

    async def apply(self) -> None:
        """Does nothing, because the processes were already ended with a downtime."""

    def failure_reason(self) -> str:
        """Returns an empty string: the world keeps the processes down."""
        return ""

    async def revert(self) -> None:
        """Starts the processes again.

        Raises:
            WorldError: The world does not answer.
        """
        for process in self._processes:
            await self._target.restart(process.process)


_CLOCKS_UNSUPPORTED = "only Chaos Mesh's daemon can shift the clock of a running process"


def _faults(spec: Spec) -> list[Fault | str]:
    """Returns all faults that an experiment may inject; a reason takes the place of a step that needs a cluster."""
    if isinstance(spec, Schedule):
        return _faults(spec.job)
    if isinstance(spec, StatusCheck):
        return []
    if not isinstance(spec, Workflow):
        return [spec]
    found: list[Fault | str] = []
    for template in spec.templates.values():
        if template.kind == "Task":
            found.append(f"its template {template.name} runs a container, which needs a cluster")
        elif template.job is not None:
            found += _faults(template.job)
    return found


def destroys_area(fault: PodFault, processes: Sequence[TargetProcess]) -> str:
    """Returns the reason to refuse a fault that kills a whole pair together with its data; else an empty string."""
    if fault.action != "pod-kill" or fault.mode == "one":
        return ""
    roles: dict[str, set[str]] = {}
    for process in candidates(fault, processes):
        roles.setdefault(process.area, set()).add(process.role)
    for area, found in roles.items():
        if area and {"active", "passive"} <= found:
            return f"the fault would destroy both copies of {area} with their data, and a local world keeps no backup"
    return ""
