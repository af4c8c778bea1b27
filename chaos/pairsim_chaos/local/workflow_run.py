"""Runs a `Workflow` without Chaos Mesh: its templates in order, each until its deadline.

However a template ends, the fault that it injected is removed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from pairsim_chaos.experiment.faults import EngineFault, Fault, PodFault
from pairsim_chaos.experiment.model import Schedule, StatusCheck, Template, Workflow
from pairsim_chaos.local.active_fault import ActiveFault
from pairsim_chaos.run.cleanup import run_to_completion
from pairsim_chaos.spec.quantities import parse_status_codes
from pairsim_chaos.target import StatusCheckHandler, WorldError

InjectFault = Callable[[Fault, float | None], Awaitable[ActiveFault]]
"""Injects a fault; the second argument is the deadline of its template in seconds."""


class WorkflowRun:
    """A workflow that has started; implements `pairsim_chaos.target.Injection`."""

    def __init__(
        self, workflow: Workflow, inject: InjectFault, handler: StatusCheckHandler, max_duration: float
    ) -> None:
        """Starts the workflow.

        Args:
            workflow: The workflow.
            inject: Injects its faults.
            handler: Performs its status checks.
            max_duration: The longest duration of a template other than `Serial` and `Parallel`, in seconds.
        """
        self._workflow, self._inject, self._handler, self._max_duration = workflow, inject, handler, max_duration
        self._targets: list[str] = []
        self._not_injected: list[str] = []
        self._task = asyncio.create_task(self._run(workflow.entry))

    @property
    def targets(self) -> tuple[str, ...]:
        """Returns the processes that any of its faults was injected into so far."""
        return tuple(dict.fromkeys(self._targets))

    async def wait(self) -> None:
        """Waits until the workflow ends.

        Raises:
            WorldError: A template failed, or a fault was not injected; such a workflow has proved nothing.
        """
        await asyncio.shield(self._task)
        if self._not_injected:
            raise WorldError(f"{', '.join(self._not_injected)}: the time ended before the fault was injected")
        templates = self._workflow.templates.values()
        if not self._targets and any(isinstance(each.job, Fault | Schedule) for each in templates):
            raise WorldError("the time ended before any fault was injected")

    async def recover(self) -> None:
        """Cancels the workflow, which removes its current faults.

        Raises:
            WorldError: A fault could not be removed, or a template had failed before.
        """
        self._task.cancel()
        (result,) = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(result, WorldError):
            raise result

    async def _run(self, name: str) -> None:
        template = self._workflow.templates[name]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(template.deadline):
                await self._run_template(template)

    async def _run_template(self, template: Template) -> None:
        job, deadline = template.job, template.deadline
        duration = min(deadline or self._max_duration, self._max_duration)
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
        elif job is None:
            await asyncio.sleep(duration)
        elif isinstance(job, StatusCheck):
            await self._check(template, job, duration)
        elif isinstance(job, Schedule):
            await self._run_schedule(template.name, job, duration)
        else:
            await self._run_fault(template.name, job, duration)
            if deadline is not None and isinstance(job, PodFault | EngineFault) and job.instant:
                await asyncio.sleep(duration)  # the template lasts until its deadline although the fault is instant

    async def _run_schedule(self, name: str, schedule: Schedule, duration: float) -> None:
        """Runs the job of a schedule once at the start, because cron intervals are too long for an attended run."""
        if isinstance(schedule.job, Workflow):
            run = WorkflowRun(schedule.job, self._inject, self._handler, self._max_duration)
            try:
                await run.wait()
            finally:
                await run_to_completion(run.recover())
                self._targets += run.targets
        else:
            await self._run_fault(name, schedule.job, duration)

    async def _run_fault(self, name: str, fault: Fault, duration: float) -> None:
        self._not_injected.append(name)
        active = await self._inject(fault, duration)
        self._not_injected.remove(name)
        self._targets += active.targets
        try:
            await active.wait()
        finally:
            await run_to_completion(active.recover())

    async def _check(self, template: Template, check: StatusCheck, duration: float) -> None:
        """Repeats a check until it succeeds or fails; a continuous check goes on until its time ends.

        Raises:
            WorldError: The check failed, and the workflow is to be aborted then.
        """
        good = bad = 0
        end = asyncio.get_running_loop().time() + duration
        lowest, highest = parse_status_codes(check.http.criteria.status_code) or (200, 200)
        while True:
            code = await self._handler(check.http, check.timeout_seconds)
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
