"""The minimum duration of a workflow."""

from __future__ import annotations

import pytest

from pairsim_chaos.cluster.min_duration import min_duration
from pairsim_chaos.experiment.model import HttpCheck, StatusCheck, StatusCodeCriteria, Template, Workflow

CHECK = StatusCheck(http=HttpCheck("http://verdict/verdict", StatusCodeCriteria("200")))


def step(name: str, kind: str, deadline: float | None, *children: str) -> Template:
    job = CHECK if kind == "StatusCheck" else None
    return Template(name, kind, deadline, children, job, abort=False)


@pytest.mark.parametrize(
    ("kind", "deadline", "children", "seconds"),
    [
        ("Serial", None, ["kill", "rest", "kill", "good"], 25.0),
        ("Parallel", None, ["kill", "rest", "good"], 15.0),
        ("Serial", 7.0, ["kill", "rest"], 7.0),
        ("Serial", None, ["kill", "both"], 20.0),
        ("Serial", None, ["good", "ask"], 0.0),
        ("Parallel", None, [], 0.0),
    ],
)
def test_pauses_and_faults_make_the_minimum_duration(
    kind: str, deadline: float | None, children: list[str], seconds: float
) -> None:
    steps = (
        step("top", kind, deadline, *children),
        step("kill", "PodChaos", 5.0),
        step("rest", "Suspend", 15.0),
        step("both", "Parallel", 540.0, "rest", "kill", "good"),
        step("good", "StatusCheck", 540.0),
        step("ask", "Task", 540.0),
    )
    assert min_duration(Workflow("top", {each.name: each for each in steps})) == seconds


def test_a_deep_workflow_that_branches_at_every_level_is_fast() -> None:
    steps = [step(str(level), "Parallel", None, str(level + 1), str(level + 1)) for level in range(5000)]
    steps.append(step("5000", "Suspend", 3.0))
    assert min_duration(Workflow("0", {each.name: each for each in steps})) == 3.0
