"""Experiments as typed values, loaded from files."""

from __future__ import annotations

import pytest

from pairsim_chaos.experiment.faults import (
    IOFault,
    LabelExpression,
    NetworkFault,
    PodFault,
    PodSelection,
    Selector,
    TimeFault,
)
from pairsim_chaos.experiment.loader import ExperimentError, load_experiments
from pairsim_chaos.experiment.model import Schedule, StatusCheck, Workflow

META = "{{name: it, namespace: world, annotations: {{about: it}}}}"
HEAD = f"apiVersion: chaos-mesh.org/v1alpha1\nkind: {{}}\nmetadata: {META}\nspec:\n"
WHO = "  mode: one\n  selector: {labelSelectors: {pairsim.io/role: active}}\n"


def test_defaults_are_those_of_chaos_mesh() -> None:
    (net,) = load_experiments(
        HEAD.format("NetworkChaos") + WHO + "  action: delay\n  duration: 1m30s\n  delay: {latency: 50ms}\n"
    )
    assert isinstance(net.spec, NetworkFault)
    assert (net.spec.direction, net.spec.target, net.spec.duration_seconds) == ("to", None, 90.0)
    assert net.spec.delay is not None
    assert (net.spec.delay.jitter, net.spec.delay.correlation) == ("0ms", "0")
    (disk,) = load_experiments(
        HEAD.format("IOChaos") + WHO + "  action: latency\n  volumePath: /d\n  delay: 9ms\n  duration: 5s\n"
    )
    assert isinstance(disk.spec, IOFault)
    assert (disk.spec.percent, disk.spec.methods) == (100, ())


@pytest.mark.parametrize("kind", ["List", "PodChaosList"])
def test_a_list_is_read_item_by_item(kind: str) -> None:
    spec = "{action: pod-kill, mode: one, selector: {nodes: [n1]}}"
    item = f"apiVersion: chaos-mesh.org/v1alpha1, kind: PodChaos, spec: {spec}"
    listed = "".join(f"  - {{metadata: {{name: {name}}}, {item}}}\n" for name in "ab")
    last = f"---\n{{metadata: {{name: c}}, {item}}}\n"
    found = load_experiments(f"apiVersion: v1\nkind: {kind}\nitems:\n{listed}{last}")
    assert [(each.name, each.line) for each in found] == [("a", 4), ("b", 5), ("c", 7)]
    assert [each.document["kind"] for each in found] == ["PodChaos"] * 3


def test_the_document_for_the_cluster_is_kept() -> None:
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
    assert (first.spec.instant, first.spec.duration_seconds) == (True, None)
    assert (second.name, second.namespace, second.line) == ("", "", 9)
    assert isinstance(second.spec, TimeFault)
    assert second.spec.offset == -60.0


def test_a_file_with_findings_is_rejected() -> None:
    with pytest.raises(
        ExperimentError, match=r"^line 4: spec\.action: the field is missing; write action: …$"
    ) as caught:
        load_experiments(HEAD.format("PodChaos") + WHO)
    assert [finding.rule for finding in caught.value.findings] == ["schema"]


def test_a_workflow_holds_its_templates_by_name() -> None:
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
    assert isinstance(good.job, StatusCheck)
    assert (good.abort, good.deadline, good.job.mode, good.job.interval_seconds) == (True, None, "Synchronous", 10)
    assert isinstance(kills.job, Schedule)
    assert isinstance(kills.job.job, PodFault)
    assert (kills.deadline, kills.job.concurrency, kills.job.job.mode) == (90.0, "Forbid", "all")
    assert (wait.job, wait.deadline) == (None, 60.0)


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
def test_a_mode_takes_the_right_number_of_pods(mode: str, value: str, taken: list[int]) -> None:
    selection = PodSelection(Selector(), mode, value)  # type: ignore[arg-type]  # the parameter is a plain string
    assert [selection.max_count(count) for count in (0, 1, 3, 10)] == taken


def test_label_selectors_match_as_in_kubernetes() -> None:
    active, bare = {"role": "active", "area": "west"}, {"area": "west"}
    for operator, values, expected in (
        ("In", ("active",), (True, False)),
        ("NotIn", ("active",), (False, True)),
        ("NotIn", ("passive",), (True, True)),
        ("Exists", (), (True, False)),
        ("DoesNotExist", (), (False, True)),
    ):
        expression = LabelExpression("role", operator, values)  # type: ignore[arg-type]  # the value is a plain string
        selector = Selector(label_selectors={"area": "west"}, expression_selectors=(expression,))
        assert (selector.matches_labels(active), selector.matches_labels(bare)) == expected
    assert not Selector(label_selectors={"area": "east"}).matches_labels(active)


def test_selectors_beyond_labels_are_listed() -> None:
    selector = Selector(label_selectors={"a": "b"}, nodes=("n1",), pod_phase_selectors=("Running",))
    assert selector.beyond_labels() == ("nodes", "podPhaseSelectors")
