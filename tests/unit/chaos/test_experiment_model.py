"""Experiments as a runner gets them."""

from __future__ import annotations

import pytest

from pairsim_chaos.experiment.experiment import ExperimentError, Schedule, StatusCheck, Workflow, load_experiments
from pairsim_chaos.experiment.faults import Expression, IOFault, NetworkFault, PodFault, Selector, Target, TimeFault

META = "{{name: it, namespace: world, annotations: {{about: it}}}}"
HEAD = f"apiVersion: chaos-mesh.org/v1alpha1\nkind: {{}}\nmetadata: {META}\nspec:\n"
WHO = "  mode: one\n  selector: {labelSelectors: {pairsim.io/role: active}}\n"


def test_defaults_are_those_of_chaos_mesh() -> None:
    (net,) = load_experiments(
        HEAD.format("NetworkChaos") + WHO + "  action: delay\n  duration: 1m30s\n  delay: {latency: 50ms}\n"
    )
    assert isinstance(net.spec, NetworkFault)
    assert (net.spec.direction, net.spec.target, net.spec.seconds) == ("to", None, 90.0)
    assert net.spec.delay is not None
    assert (net.spec.delay.jitter, net.spec.delay.correlation) == ("0ms", "0")
    (disk,) = load_experiments(
        HEAD.format("IOChaos") + WHO + "  action: latency\n  volumePath: /d\n  delay: 9ms\n  duration: 5s\n"
    )
    assert isinstance(disk.spec, IOFault)
    assert (disk.spec.percent, disk.spec.methods) == (100, ())


def test_it_keeps_what_a_cluster_is_sent() -> None:
    first, second = load_experiments(
        HEAD.format("PodChaos") + WHO + "  action: pod-kill\n---\n"
        "apiVersion: chaos-mesh.org/v1alpha1\nkind: TimeChaos\nmetadata: {generateName: it-}\nspec:\n"
        + WHO
        + "  timeOffset: -1m\n  clockIds: [CLOCK_MONOTONIC_RAW]\n  duration: 5s\n"
    )
    assert (first.kind, first.plural, first.name, first.namespace, first.line) == (
        "PodChaos",
        "podchaos",
        "it",
        "world",
        1,
    )
    assert first.document["metadata"] == {"name": "it", "namespace": "world", "annotations": {"about": "it"}}
    assert isinstance(first.spec, PodFault)
    assert (first.spec.once, first.spec.seconds) == (True, None)
    assert (second.name, second.namespace, second.line) == ("", "", 9)
    assert isinstance(second.spec, TimeFault)
    assert second.spec.offset == -60.0


def test_a_file_with_findings_is_none() -> None:
    with pytest.raises(ExperimentError, match=r"^line 4: spec\.action: it is missing; write action: …$") as caught:
        load_experiments(HEAD.format("PodChaos") + WHO)
    assert [finding.rule for finding in caught.value.findings] == ["schema"]


def test_a_workflow_is_its_templates() -> None:
    (experiment,) = load_experiments(
        HEAD.format("Workflow")
        + """  entry: all
  templates:
    - {name: all, templateType: Serial, children: [good, kills, wait]}
    - name: good
      templateType: StatusCheck
      abortWithStatusCheck: true
      statusCheck: {type: HTTP, http: {url: "http://verdict/verdict", criteria: {statusCode: "200"}}}
    - name: kills
      templateType: Schedule
      deadline: 90s
      schedule:
        schedule: "@every 30s"
        type: PodChaos
        podChaos: {action: pod-kill, mode: all, selector: {labelSelectors: {pairsim.io/role: passive}}}
    - {name: wait, templateType: Suspend, deadline: 1m}
"""
    )
    workflow = experiment.spec
    assert isinstance(workflow, Workflow)
    assert workflow.templates[workflow.entry].children == ("good", "kills", "wait")
    good, kills, wait = (workflow.templates[name] for name in ("good", "kills", "wait"))
    assert isinstance(good.does, StatusCheck)
    assert (good.abort, good.deadline, good.does.mode, good.does.interval_seconds) == (True, None, "Synchronous", 10)
    assert isinstance(kills.does, Schedule)
    assert isinstance(kills.does.runs, PodFault)
    assert (kills.deadline, kills.does.concurrency, kills.does.runs.mode) == (90.0, "Forbid", "all")
    assert (wait.does, wait.deadline) == (None, 60.0)


@pytest.mark.parametrize(
    ("mode", "value", "taken"),
    [
        ("one", "", [0, 1, 1, 1]),
        ("all", "", [0, 1, 3, 10]),
        ("fixed", "2", [0, 1, 2, 2]),
        ("fixed-percent", "50", [0, 1, 2, 5]),
        ("random-max-percent", "1", [0, 1, 1, 1]),
    ],
)
def test_how_many_pods_a_mode_takes(mode: str, value: str, taken: list[int]) -> None:
    target = Target(Selector(), mode, value)  # type: ignore[arg-type]  # a parameter is no literal
    assert [target.most(count) for count in (0, 1, 3, 10)] == taken


def test_selectors_of_labels_are_those_of_kubernetes() -> None:
    active, bare = {"role": "active", "area": "west"}, {"area": "west"}
    for operator, values, expected in (
        ("In", ("active",), (True, False)),
        ("NotIn", ("active",), (False, True)),
        ("NotIn", ("passive",), (True, True)),
        ("Exists", (), (True, False)),
        ("DoesNotExist", (), (False, True)),
    ):
        expression = Expression("role", operator, values)  # type: ignore[arg-type]  # a loop's value is no literal
        selector = Selector(label_selectors={"area": "west"}, expression_selectors=(expression,))
        assert (selector.matches_labels(active), selector.matches_labels(bare)) == expected
    assert not Selector(label_selectors={"area": "east"}).matches_labels(active)


def test_what_only_a_cluster_can_answer_is_named() -> None:
    selector = Selector(label_selectors={"a": "b"}, nodes=("n1",), pod_phase_selectors=("Running",))
    assert selector.beyond_labels() == ("nodes", "podPhaseSelectors")
