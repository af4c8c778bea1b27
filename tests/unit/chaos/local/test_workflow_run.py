"""Workflows on one machine: order, deadlines, checks, and the removal of all faults."""

from __future__ import annotations

import asyncio

import pytest

from pairsim_chaos.experiment.faults import Fault
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.experiment.model import HttpCheck, StatusCheck, Workflow
from pairsim_chaos.local.active_fault import ActiveFault
from pairsim_chaos.local.selection import TargetProcess
from pairsim_chaos.local.workflow_run import WorkflowRun
from pairsim_chaos.target import WorldError

HEAD = """
apiVersion: chaos-mesh.org/v1alpha1
kind: Workflow
metadata: {name: flow, namespace: pairsim, annotations: {about: a flow}}
spec:
  entry: all
  templates:
"""
CUT = """
    - name: NAME
      templateType: NetworkChaos
      deadline: LASTS
      networkChaos:
        action: partition
        mode: one
        selector: {namespaces: [pairsim], labelSelectors: {pairsim.io/role: active}}
        target: {mode: all, selector: {namespaces: [pairsim], labelSelectors: {pairsim.io/role: passive}}}
"""
CHECK = """
    - name: check
      templateType: StatusCheck
      deadline: 5s
      abortWithStatusCheck: ABORT
      statusCheck:
        type: HTTP
        mode: Synchronous
        intervalSeconds: 1
        failureThreshold: 2
        http: {url: "http://verdict/verdict", criteria: {statusCode: "200"}}
"""


def cut(name: str, lasts: str) -> str:
    return CUT.replace("NAME", name).replace("LASTS", lasts)


def workflow(*templates: str) -> Workflow:
    (experiment,) = load_experiments(HEAD + "".join(templates))
    assert isinstance(experiment.spec, Workflow)
    return experiment.spec


def process(name: str) -> TargetProcess:
    return TargetProcess(name, "simulator", "physics", "west", "active", "", "127.0.0.1:1", 1, "", "/tmp")  # noqa: S108


class FakeFault:
    """A reversible fault that only remembers whether it is in place."""

    def __init__(self, faults: Faults) -> None:
        self.faults, self.in_place = faults, True

    async def apply(self) -> None:
        pass

    def failure_reason(self) -> str:
        return self.faults.failure

    async def revert(self) -> None:
        await asyncio.sleep(self.faults.revert_seconds)
        self.in_place = False


class Faults:
    """Injects fake faults and remembers them."""

    def __init__(
        self, *, apply_seconds: float = 0.0, revert_seconds: float = 0.0, failure: str = "", code: int = 200
    ) -> None:
        self.apply_seconds, self.revert_seconds, self.failure, self.code = apply_seconds, revert_seconds, failure, code
        self.made: list[FakeFault] = []
        self.max_concurrent = self.checks = 0

    async def inject(self, _fault: Fault, deadline: float | None) -> ActiveFault:
        await asyncio.sleep(self.apply_seconds)
        self.made.append(FakeFault(self))
        self.max_concurrent = max(self.max_concurrent, sum(each.in_place for each in self.made))
        return ActiveFault([process(f"sim-{len(self.made)}")], deadline or 1.0, self.made[-1])

    async def handle_status_check(self, _http: HttpCheck, _seconds: float) -> int:
        self.checks += 1
        return self.code

    async def run(self, *templates: str) -> WorkflowRun:
        run = WorkflowRun(workflow(*templates), self.inject, self.handle_status_check, 5.0)
        try:
            async with asyncio.timeout(10):
                await run.wait()
        finally:
            await run.recover()
        return run

    @property
    def all_reverted(self) -> bool:
        return not any(each.in_place for each in self.made)


SERIAL = "    - {name: all, templateType: Serial, deadline: 5s, children: [a, b]}\n"
PARALLEL = "    - {name: all, templateType: Parallel, deadline: 5s, children: [a, b]}\n"


@pytest.mark.parametrize(("entry", "max_concurrent"), [(SERIAL, 1), (PARALLEL, 2)])
async def test_children_run_serially_or_in_parallel(entry: str, max_concurrent: int) -> None:
    faults = Faults()
    run = await faults.run(entry, cut("a", "50ms"), cut("b", "50ms"))
    assert (run.targets, faults.max_concurrent) == (("sim-1", "sim-2"), max_concurrent)
    assert faults.all_reverted


async def test_a_parent_waits_until_the_fault_of_a_child_is_reverted() -> None:
    faults = Faults(revert_seconds=0.2)
    await faults.run("    - {name: all, templateType: Serial, deadline: 80ms, children: [a]}\n", cut("a", "50ms"))
    assert faults.all_reverted


async def test_a_fault_that_is_not_injected_in_time_is_an_error() -> None:
    with pytest.raises(WorldError, match="a: the time ended before the fault was injected"):
        await Faults(apply_seconds=1.0).run(
            "    - {name: all, templateType: Serial, deadline: 5s, children: [a]}\n", cut("a", "50ms")
        )


async def test_a_workflow_without_an_injected_fault_is_an_error() -> None:
    pause = "    - {name: pause, templateType: Suspend, deadline: 60ms}\n"
    entry = "    - {name: all, templateType: Serial, deadline: 20ms, children: [pause, a]}\n"
    with pytest.raises(WorldError, match="before any fault was injected"):
        await Faults().run(entry, pause, cut("a", "50ms"))


async def test_a_fault_that_ends_by_itself_is_an_error() -> None:
    faults = Faults(failure="2 of 2 shapers ended")
    with pytest.raises(WorldError, match="did not last: 2 of 2 shapers ended"):
        await faults.run("    - {name: all, templateType: Serial, deadline: 5s, children: [a]}\n", cut("a", "50ms"))
    assert faults.all_reverted


async def test_a_cancelled_workflow_reverts_its_faults() -> None:
    faults = Faults(revert_seconds=0.05)
    run = WorkflowRun(workflow(SERIAL, cut("a", "4s"), cut("b", "4s")), faults.inject, faults.handle_status_check, 5.0)
    async with asyncio.timeout(5):
        while not faults.made:
            await asyncio.sleep(0.001)
    await run.recover()
    assert faults.all_reverted
    assert len(faults.made) == 1


@pytest.mark.parametrize(("abort", "made"), [("true", 0), ("false", 1)])
async def test_a_failed_check_aborts_the_workflow_if_the_template_says_so(abort: str, made: int) -> None:
    entry = "    - {name: all, templateType: Serial, deadline: 9s, children: [check, a]}\n"
    faults = Faults(code=503)
    check = CHECK.replace("ABORT", abort)
    if made:
        await faults.run(entry, check, cut("a", "50ms"))
    else:
        with pytest.raises(WorldError, match=r"check: .* answered 503: aborted"):
            await faults.run(entry, check, cut("a", "50ms"))
    assert faults.checks == 2, "failureThreshold is 2"
    assert len(faults.made) == made


def test_the_check_is_loaded_as_written() -> None:
    job = (
        workflow(
            "    - {name: all, templateType: Serial, deadline: 9s, children: [check]}\n", CHECK.replace("ABORT", "true")
        )
        .templates["check"]
        .job
    )
    assert isinstance(job, StatusCheck)
    assert job.failure_threshold == 2
