"""Workflows on one machine: order, deadlines, checks, and that everything is taken back."""

from __future__ import annotations

import asyncio

import pytest

from pairsim_chaos.experiment.experiment import Http, StatusCheck, Workflow, load_experiments
from pairsim_chaos.experiment.faults import Fault
from pairsim_chaos.local.flow import Flow
from pairsim_chaos.local.injections import Held
from pairsim_chaos.local.selecting import LocalProcess
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


def process(name: str) -> LocalProcess:
    return LocalProcess(name, "simulator", "physics", "west", "active", "", "127.0.0.1:1", 1, "", "/tmp")  # noqa: S108


class Made:
    """A fault."""

    def __init__(self, faults: Faults) -> None:
        self.faults, self.there = faults, True

    async def make(self) -> None:
        pass

    def broken(self) -> str:
        return self.faults.broken

    async def undo(self) -> None:
        await asyncio.sleep(self.faults.undoing)
        self.there = False


class Faults:
    """Makes them, and remembers when."""

    def __init__(self, *, making: float = 0.0, undoing: float = 0.0, broken: str = "", code: int = 200) -> None:
        self.making, self.undoing, self.broken, self.code = making, undoing, broken, code
        self.made: list[Made] = []
        self.most = self.asked = 0

    async def begin(self, _fault: Fault, deadline: float | None) -> Held:
        await asyncio.sleep(self.making)
        self.made.append(Made(self))
        self.most = max(self.most, sum(each.there for each in self.made))
        return Held([process(f"sim-{len(self.made)}")], deadline or 1.0, self.made[-1])

    async def answer(self, _http: Http, _seconds: float) -> int:
        self.asked += 1
        return self.code

    async def run(self, *templates: str) -> Flow:
        flow = Flow(workflow(*templates), self.begin, self.answer, 5.0)
        try:
            async with asyncio.timeout(10):
                await flow.over()
        finally:
            await flow.recover()
        return flow

    @property
    def gone(self) -> bool:
        return not any(each.there for each in self.made)


SERIAL = "    - {name: all, templateType: Serial, deadline: 5s, children: [a, b]}\n"
PARALLEL = "    - {name: all, templateType: Parallel, deadline: 5s, children: [a, b]}\n"


@pytest.mark.parametrize(("entry", "most"), [(SERIAL, 1), (PARALLEL, 2)])
async def test_children_come_one_after_the_other_or_together(entry: str, most: int) -> None:
    faults = Faults()
    flow = await faults.run(entry, cut("a", "50ms"), cut("b", "50ms"))
    assert (flow.targets, faults.most) == (("sim-1", "sim-2"), most)
    assert faults.gone


async def test_a_parent_that_ends_while_a_child_is_being_taken_back_waits_for_that() -> None:
    faults = Faults(undoing=0.2)
    await faults.run("    - {name: all, templateType: Serial, deadline: 80ms, children: [a]}\n", cut("a", "50ms"))
    assert faults.gone


async def test_what_could_not_be_made_in_time_has_not_been_shown() -> None:
    with pytest.raises(WorldError, match="a: the time was over before it was made"):
        await Faults(making=1.0).run(
            "    - {name: all, templateType: Serial, deadline: 5s, children: [a]}\n", cut("a", "50ms")
        )


async def test_a_workflow_that_came_to_none_of_its_faults_has_shown_nothing() -> None:
    pause = "    - {name: pause, templateType: Suspend, deadline: 60ms}\n"
    entry = "    - {name: all, templateType: Serial, deadline: 20ms, children: [pause, a]}\n"
    with pytest.raises(WorldError, match="before any of its faults was made"):
        await Faults().run(entry, pause, cut("a", "50ms"))


async def test_a_fault_that_goes_by_itself_is_told() -> None:
    faults = Faults(broken="2 of 2 shapers ended")
    with pytest.raises(WorldError, match="did not last: 2 of 2 shapers ended"):
        await faults.run("    - {name: all, templateType: Serial, deadline: 5s, children: [a]}\n", cut("a", "50ms"))
    assert faults.gone


async def test_one_that_is_ended_takes_back_what_is_there() -> None:
    faults = Faults(undoing=0.05)
    flow = Flow(workflow(SERIAL, cut("a", "4s"), cut("b", "4s")), faults.begin, faults.answer, 5.0)
    async with asyncio.timeout(5):
        while not faults.made:
            await asyncio.sleep(0.001)
    await flow.recover()
    assert faults.gone
    assert len(faults.made) == 1


@pytest.mark.parametrize(("abort", "made"), [("true", 0), ("false", 1)])
async def test_a_check_that_fails_often_enough_ends_the_workflow_if_it_says_so(abort: str, made: int) -> None:
    entry = "    - {name: all, templateType: Serial, deadline: 9s, children: [check, a]}\n"
    faults = Faults(code=503)
    check = CHECK.replace("ABORT", abort)
    if made:
        await faults.run(entry, check, cut("a", "50ms"))
    else:
        with pytest.raises(WorldError, match=r"check: .* answered 503: aborted"):
            await faults.run(entry, check, cut("a", "50ms"))
    assert faults.asked == 2, "as often as failureThreshold says"
    assert len(faults.made) == made


def test_the_check_is_read_as_it_is_written() -> None:
    does = (
        workflow(
            "    - {name: all, templateType: Serial, deadline: 9s, children: [check]}\n", CHECK.replace("ABORT", "true")
        )
        .templates["check"]
        .does
    )
    assert isinstance(does, StatusCheck)
    assert does.failure_threshold == 2
