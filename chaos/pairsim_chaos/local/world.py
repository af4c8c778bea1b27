"""A local world, looked at and hurt: the API of `pairsim up`, and the faults that this machine can make."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec

from pairsim.model.world_status import WorldStatus
from pairsim_chaos.experiment.experiment import Experiment, Schedule, Spec, StatusCheck, Workflow
from pairsim_chaos.experiment.faults import Fault, IOFault, NetworkFault, PodFault, StressFault, TimeFault
from pairsim_chaos.local import cgroups, disk, stress
from pairsim_chaos.local.flow import Flow
from pairsim_chaos.local.injections import Held, Undoable
from pairsim_chaos.local.network import faults
from pairsim_chaos.local.run_lock import Lock
from pairsim_chaos.local.selecting import LocalProcess, candidates, chosen, foreign_container, unanswerable
from pairsim_chaos.run.cleanup import to_its_end
from pairsim_chaos.target import Asked, Injection, Place, Pod, RefusedFaultError, Scene, WorldError

_SECONDS = 10.0
_NO_END = 3600.0
_LABELS = 0.1
T = TypeVar("T")


class LocalWorld:
    """Of one `pairsim up`; use it as an async context manager."""

    def __init__(
        self, host: str, port: int, *, longest: float, seed: int, hurts: bool, tell: Callable[[str], None]
    ) -> None:
        """Opens nothing yet.

        Args:
            host: Of the world's API.
            port: Of the same.
            longest: Seconds that a fault lasts at most, whatever its file says.
            seed: Of what is chosen by chance.
            hurts: Whether faults are going to be made.
            tell: Told what a run that was killed had left behind.
        """
        self._url, self._port, self._longest = f"http://{host}:{port}", port, longest
        self._hurts, self._tell = hurts, tell
        self._lock: Lock | None = None
        self._random = random.Random(seed)  # noqa: S311 - who is hurt is no secret
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Raises WorldError if it is to be hurt and somebody else does so already."""
        if self._hurts:
            self._lock = Lock(self._port)
        self._http = aiohttp.ClientSession(self._url, timeout=aiohttp.ClientTimeout(total=_SECONDS))
        if self._hurts:
            await self._clean_up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()
        if self._lock is not None:
            self._lock.close()

    async def _clean_up(self) -> None:
        """Takes away what runs that were killed left behind."""
        try:
            left = await faults.remove_left_overs(await self._processes())
            if left:
                self._tell(f"rules that a killed run had left at {', '.join(left)} are taken away")
        except WorldError as error:
            self._tell(f"what killed runs left could not be looked for: {error}")
        if os.geteuid() == 0 and cgroups.remove_left_overs(self._mark):
            self._tell("control groups that a killed run had left are taken away")

    @property
    def _mark(self) -> str:
        return f"pairsim-chaos-{self._port}"

    async def look(self) -> Scene:
        """See `pairsim_chaos.target.World`."""
        seen, processes = await asyncio.gather(self._ask("/v1/world", WorldStatus), self._processes())
        places = [Place(each.area, each.plane, each.bounds, each.redundant, each.missing) for each in seen.areas]
        pods = [Pod(each.process, each.kind, each.area, each.role, each.url if each.pid else "") for each in processes]
        return Scene(tuple(places), tuple(pods))

    async def labels(self, seen: Callable[[str, frozenset[str]], None]) -> None:
        """See `pairsim_chaos.target.World`."""
        while True:
            try:
                processes = await self._processes()
            except WorldError:
                processes = []
            for area in {each.area for each in processes} - {""}:
                active = (each.process for each in processes if each.area == area and each.role == "active")
                seen(area, frozenset(active))
            await asyncio.sleep(_LABELS)

    async def refusal(self, experiment: Experiment) -> str:
        """See `pairsim_chaos.target.World`."""
        processes = await self._processes()
        return next(filter(None, (self._refusal(fault, processes) for fault in _faults(experiment.spec))), "")

    async def inject(self, experiment: Experiment, asked: Asked) -> Injection:
        """See `pairsim_chaos.target.World`."""
        spec = experiment.spec
        if isinstance(spec, Workflow):
            return Flow(spec, self._begin, asked, self._longest)
        if isinstance(spec, Schedule):
            runs = spec.runs
            if isinstance(runs, Workflow):
                return Flow(runs, self._begin, asked, self._longest)
            return await self._begin(runs, None)
        if isinstance(spec, StatusCheck):
            raise RefusedFaultError("a StatusCheck alone is no experiment: name it in a Workflow")
        return await self._begin(spec, None)

    # --- faults

    async def _begin(self, fault: Fault, deadline: float | None) -> Held:
        """Makes a fault; `deadline` is that of the template it stands in, in seconds."""
        processes = await self._processes()
        reason = self._refusal(fault, processes)
        if reason:
            raise RefusedFaultError(reason)
        sources = chosen(fault, processes, self._random)
        if not sources:
            raise WorldError("its selector means no process that is there now")
        reason = foreign_container(fault, sources)
        if reason:
            raise RefusedFaultError(reason)
        lasting = min(fault.seconds or deadline or _NO_END, self._longest)
        if isinstance(fault, PodFault):
            away = _Away(self, sources) if fault.action == "pod-failure" else None
            try:
                await self._end(fault, sources, lasting)
            except BaseException:
                if away is not None:
                    await to_its_end(away.undo())
                raise
            return Held(sources, 0.0 if fault.once else lasting, away)
        made = await self._undoable(fault, sources, processes, lasting)
        try:
            await made.make()
        except BaseException:
            await to_its_end(made.undo())
            raise
        return Held(sources, lasting, made)

    async def _undoable(
        self, fault: Fault, sources: Sequence[LocalProcess], processes: Sequence[LocalProcess], lasting: float
    ) -> Undoable:
        if isinstance(fault, NetworkFault):
            targets = None if fault.target is None else chosen(fault.target, processes, self._random)
            return faults.NetworkInjection(fault, faults.links(fault, sources, targets), lasting)
        if isinstance(fault, StressFault):
            return stress.StressInjection(fault, sources, self._mark)
        if isinstance(fault, IOFault):
            return disk.DiskInjection(fault, sources)
        raise RefusedFaultError(_NO_CLOCKS)

    async def _end(self, fault: PodFault, sources: Sequence[LocalProcess], lasting: float) -> None:
        for source in sources:
            order: dict[str, object] = {"process": source.process}
            if fault.action == "pod-kill":
                order |= {"fresh": True, "grace": float(fault.grace_period)}
            elif fault.action == "pod-failure":
                order["away"] = lasting
            await self._ask("/v1/processes/end", dict[str, object], order)

    async def bring_back(self, process: str) -> None:
        """Starts a process that is away.

        Raises:
            WorldError: The world does not answer, or has no such process.
        """
        await self._ask("/v1/processes/start", dict[str, object], {"process": process})

    def _refusal(self, fault: Fault | str, processes: Sequence[LocalProcess]) -> str:
        if isinstance(fault, str):
            return fault
        targets = [fault, *([fault.target] if isinstance(fault, NetworkFault) and fault.target else [])]
        unanswered = next(filter(None, map(unanswerable, targets)), "")
        if unanswered:
            return unanswered
        match fault:
            case PodFault():
                return _both_copies(fault, processes)
            case NetworkFault():
                return faults.refusal(fault, processes)
            case StressFault():
                return stress.refusal(fault) if os.geteuid() == 0 else "control groups are made by root alone"
            case IOFault():
                return disk.refusal(fault)
            case TimeFault():
                return _NO_CLOCKS

    # --- the world's API

    async def _processes(self) -> list[LocalProcess]:
        return await self._ask("/v1/processes", list[LocalProcess])

    async def _ask(self, path: str, kind: type[T], body: dict[str, object] | None = None) -> T:
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
                f"no world answers at {self._url}: start one with `pairsim up WORLD.yaml --isolate`, or give its --port"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise WorldError(f"the world at {self._url} does not answer: {str(error) or 'it took too long'}") from error
        except msgspec.MsgspecError as error:
            raise WorldError(f"what answers at {self._url} is no world of this version: {error}") from error


class _Away:
    """Processes that are not there for a while."""

    def __init__(self, world: LocalWorld, targets: Sequence[LocalProcess]) -> None:
        self._world, self._targets = world, targets

    async def make(self) -> None:
        """Done already: they were ended for a time."""

    def broken(self) -> str:
        return ""

    async def undo(self) -> None:
        for target in self._targets:
            await self._world.bring_back(target.process)


_NO_CLOCKS = "the clock of a running process is shifted by Chaos Mesh's daemon alone"


def _faults(spec: Spec) -> list[Fault | str]:
    """All that an experiment may do; sentences in place of what no machine alone can."""
    if isinstance(spec, Schedule):
        return _faults(spec.runs)
    if isinstance(spec, StatusCheck):
        return []
    if not isinstance(spec, Workflow):
        return [spec]
    found: list[Fault | str] = []
    for template in spec.templates.values():
        if template.kind == "Task":
            found.append(f"its template {template.name} runs a container, which needs a cluster")
        elif template.does is not None:
            found += _faults(template.does)
    return found


def _both_copies(fault: PodFault, processes: Sequence[LocalProcess]) -> str:
    """A pod that is killed takes its data along; whoever kills a whole pair destroys an area."""
    if fault.action != "pod-kill" or fault.mode == "one":
        return ""
    roles: dict[str, set[str]] = {}
    for process in candidates(fault, processes):
        roles.setdefault(process.area, set()).add(process.role)
    for area, found in roles.items():
        if area and {"active", "passive"} <= found:
            return f"it would destroy both copies of {area} with their data, and no world-view keeps a backup of it"
    return ""
