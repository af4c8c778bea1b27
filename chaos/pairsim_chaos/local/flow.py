"""A `Workflow` without Chaos Mesh: its templates in their order, each until its deadline.

What a template began is taken back when it ends, however that comes about.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from pairsim_chaos.experiment.experiment import Schedule, StatusCheck, Template, Workflow
from pairsim_chaos.experiment.faults import Fault, PodFault
from pairsim_chaos.local.injections import Held
from pairsim_chaos.run.cleanup import to_its_end
from pairsim_chaos.spec.quantities import status_codes
from pairsim_chaos.target import Asked, WorldError

Begin = Callable[[Fault, float | None], Awaitable[Held]]


class Flow:
    """One workflow, from its beginning on."""

    def __init__(self, workflow: Workflow, begin: Begin, asked: Asked, longest: float) -> None:
        """Begins it; no template but `Serial` and `Parallel` lasts longer than `longest` seconds."""
        self._workflow, self._begin, self._asked, self._longest = workflow, begin, asked, longest
        self._hit: list[str] = []
        self._unmade: list[str] = []
        self._task = asyncio.create_task(self._run(workflow.entry))

    @property
    def targets(self) -> tuple[str, ...]:
        """Of all its faults so far."""
        return tuple(dict.fromkeys(self._hit))

    async def over(self) -> None:
        """See `pairsim_chaos.target.Injection`. A workflow that made nothing of what it says has proved nothing."""
        await asyncio.shield(self._task)
        if self._unmade:
            raise WorldError(f"{', '.join(self._unmade)}: the time was over before it was made")
        if not self._hit and any(isinstance(each.does, Fault | Schedule) for each in self._workflow.templates.values()):
            raise WorldError("its time was over before any of its faults was made")

    async def recover(self) -> None:
        """See `pairsim_chaos.target.Injection`."""
        self._task.cancel()
        (end,) = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(end, WorldError):
            raise end

    async def _run(self, name: str) -> None:
        template = self._workflow.templates[name]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(template.deadline):
                await self._do(template)

    async def _do(self, template: Template) -> None:
        does, deadline = template.does, template.deadline
        lasting = min(deadline or self._longest, self._longest)
        if template.kind == "Serial":
            for child in template.children:
                await self._run(child)
        elif template.kind == "Parallel":
            try:
                async with asyncio.TaskGroup() as group:
                    for child in template.children:
                        group.create_task(self._run(child))
            except ExceptionGroup as errors:
                raise WorldError("; ".join(map(str, errors.exceptions))) from errors
        elif does is None:
            await asyncio.sleep(lasting)
        elif isinstance(does, StatusCheck):
            await self._check(template, does, lasting)
        elif isinstance(does, Schedule):
            await self._scheduled(template.name, does, lasting)
        else:
            await self._fault(template.name, does, lasting)
            if deadline is not None and isinstance(does, PodFault) and does.once:
                await asyncio.sleep(lasting)  # the template lasts, though the fault is done at once

    async def _scheduled(self, name: str, schedule: Schedule, lasting: float) -> None:
        """Once, at its beginning: what cron says is too far apart for a run that somebody waits for."""
        if isinstance(schedule.runs, Workflow):
            flow = Flow(schedule.runs, self._begin, self._asked, self._longest)
            try:
                await flow.over()
            finally:
                await to_its_end(flow.recover())
                self._hit += flow.targets
        else:
            await self._fault(name, schedule.runs, lasting)

    async def _fault(self, name: str, fault: Fault, lasting: float) -> None:
        self._unmade.append(name)
        held = await self._begin(fault, lasting)
        self._unmade.remove(name)
        self._hit += held.targets
        try:
            await held.over()
        finally:
            await to_its_end(held.recover())

    async def _check(self, template: Template, check: StatusCheck, lasting: float) -> None:
        """Until it is good or bad; a continuous one until its time is over.

        Raises:
            WorldError: It is bad, and the workflow is to be aborted then.
        """
        good = bad = 0
        end = asyncio.get_running_loop().time() + lasting
        lowest, highest = status_codes(check.http.criteria.status_code) or (200, 200)
        while True:
            code = await self._asked(check.http, check.timeout_seconds)
            good, bad = (good + 1, 0) if lowest <= code <= highest else (0, bad + 1)
            if bad >= check.failure_threshold:
                if template.abort:
                    raise WorldError(f"{template.name}: {check.http.url} answered {code or 'nothing'}: aborted")
                return
            if check.mode == "Synchronous" and good >= check.success_threshold:
                return
            if asyncio.get_running_loop().time() + check.interval_seconds > end:
                return
            await asyncio.sleep(check.interval_seconds)
