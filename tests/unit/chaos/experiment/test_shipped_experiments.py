"""The shipped experiments: complete, without findings, with a header, and narrow in the pods that they select."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pairsim_chaos.experiment.faults import Fault, IOFault, NetworkFault, PodFault, Selector, StressFault, TimeFault
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.experiment.model import Experiment, Schedule, Workflow
from tests.unit.chaos.lint.printed_findings import printed

FOLDER = Path(__file__).parents[4] / "chaos" / "experiments"
FILES = sorted(FOLDER.glob("*.yaml"))


def _experiments() -> list[Experiment]:
    return [experiment for path in FILES for experiment in load_experiments(path.read_text())]


def _faults(experiment: Experiment) -> list[Fault]:
    spec = experiment.spec
    if isinstance(spec, Workflow):
        steps = [template.job for template in spec.templates.values()]
        return [step for step in steps if isinstance(step, Fault)]
    runs = spec.job if isinstance(spec, Schedule) else spec
    assert isinstance(runs, Fault)
    return [runs]


def _selectors() -> list[Selector]:
    faults = [fault for experiment in _experiments() for fault in _faults(experiment)]
    targets = [fault.target for fault in faults if isinstance(fault, NetworkFault) and fault.target]
    return [fault.selector for fault in (*faults, *targets)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_linter_finds_nothing(path: Path) -> None:
    assert printed(path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_header_has_all_sections(path: Path) -> None:
    comment = path.read_text().partition("apiVersion")[0]
    needs = ["Needs"] if "IOChaos" in path.read_text() else []
    heads = re.findall(r"^# (\w[\w ]+): \S", comment, re.MULTILINE)
    assert heads == ["Hypothesis", "Blast radius", "Must hold", *needs]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_holds_one_experiment_with_its_name(path: Path) -> None:
    (experiment,) = load_experiments(path.read_text())
    assert (experiment.name, experiment.namespace) == (path.stem, "pairsim")


def test_every_kind_of_fault_is_shipped() -> None:
    found = set()
    for experiment in _experiments():
        if isinstance(experiment.spec, Schedule | Workflow):
            found.add(experiment.kind)
        elif isinstance(experiment.spec, StressFault):
            found |= {name for name in ("cpu", "memory") if getattr(experiment.spec.stressors, name)}
        else:
            found.add(getattr(experiment.spec, "action", experiment.kind))
    assert found == {
        *("pod-kill", "pod-failure", "container-kill"),
        *("partition", "delay", "loss", "duplicate", "corrupt", "bandwidth"),
        *("cpu", "memory", "TimeChaos", "latency", "fault", "Schedule", "Workflow"),
        *("hang", "crash", "raise"),
    }


def test_pods_are_selected_by_their_role_in_the_namespace_of_the_world() -> None:
    for selector in _selectors():
        asked = {*selector.label_selectors, *(each.key for each in selector.expression_selectors)}
        assert asked & {"pairsim.io/role", "app.kubernetes.io/component"}
        assert selector.namespaces == ("pairsim",)


def _labels(component: str, role: str = "") -> dict[str, str]:
    labels = {"app.kubernetes.io/name": "pairsim", "app.kubernetes.io/component": component}
    return {**labels, "pairsim.io/role": role, "pairsim.io/area": "west"} if role else labels


PODS = {
    "active": _labels("simulator", "active"),
    "passive": _labels("simulator", "passive"),
    "spare": {**_labels("simulator"), "pairsim.io/role": "spare"},
    "witness": _labels("witness"),
    "controller": _labels("controller"),
}


def _selected(selector: Selector) -> set[str]:
    return {name for name, labels in PODS.items() if selector.matches_labels(labels)}


@pytest.mark.parametrize(
    ("name", "selected"),
    [
        ("kill-active", {"active"}),
        ("kill-passive", {"passive"}),
        ("kill-both", {"active", "passive"}),
        ("kill-witness", {"witness"}),
        ("kill-controller", {"controller"}),
        ("container-kill-active", {"active"}),
        ("pod-failure-active", {"active"}),
        ("stress-cpu-active", {"active"}),
        ("stress-memory-active", {"active"}),
        ("stress-engine", {"active"}),
        ("engine-hang", {"active"}),
        ("engine-crash", {"active"}),
        ("engine-raise", {"active"}),
        ("clock-active", {"active"}),
        ("io-latency-journal", {"active"}),
        ("io-fault-journal", {"active"}),
    ],
)
def test_a_fault_selects_the_pods_in_its_name(name: str, selected: set[str]) -> None:
    (experiment,) = load_experiments((FOLDER / f"{name}.yaml").read_text())
    (fault,) = _faults(experiment)
    assert _selected(fault.selector) == selected


@pytest.mark.parametrize(
    ("name", "others", "direction"),
    [
        ("partition-active-passive", {"passive"}, "both"),
        ("partition-active-witness", {"witness"}, "both"),
        ("partition-active-all", {"passive", "spare", "witness", "controller"}, "both"),
        ("partition-one-way", {"passive", "spare", "witness"}, "to"),
        ("delay-active", {"passive", "spare", "witness"}, "both"),
        ("loss-active", {"passive", "spare", "witness"}, "both"),
        ("duplicate-active", {"passive", "spare", "witness"}, "both"),
        ("corrupt-active", {"passive", "spare", "witness"}, "both"),
        ("bandwidth-active", {"passive", "spare", "witness"}, "to"),
    ],
)
def test_a_network_fault_affects_the_links_in_its_name(name: str, others: set[str], direction: str) -> None:
    (experiment,) = load_experiments((FOLDER / f"{name}.yaml").read_text())
    fault = experiment.spec
    assert isinstance(fault, NetworkFault)
    assert fault.target is not None
    assert (_selected(fault.selector), _selected(fault.target.selector)) == ({"active"}, others)
    assert fault.direction == direction


def test_the_clock_of_elections_is_shifted() -> None:
    (experiment,) = load_experiments((FOLDER / "clock-active.yaml").read_text())
    assert isinstance(experiment.spec, TimeFault)
    assert "CLOCK_MONOTONIC_RAW" in experiment.spec.clock_ids


def test_io_faults_affect_writes_of_the_journal() -> None:
    for name in ("io-latency-journal", "io-fault-journal"):
        (experiment,) = load_experiments((FOLDER / f"{name}.yaml").read_text())
        assert isinstance(experiment.spec, IOFault)
        assert experiment.spec.path.endswith(".journal")
        assert "write" in experiment.spec.methods


def test_the_game_day_runs_serially_and_in_parallel_and_checks_the_verdict() -> None:
    (experiment,) = load_experiments((FOLDER / "game-day.yaml").read_text())
    day = experiment.spec
    assert isinstance(day, Workflow)
    kinds = [template.kind for template in day.templates.values()]
    assert {"Serial", "Parallel", "StatusCheck", "PodChaos"} <= set(kinds)
    first, last = (day.templates[day.templates[day.entry].children[place]] for place in (0, -1))
    assert first.kind == last.kind == "StatusCheck"
    assert first.abort
    kills = [step for step in _faults(experiment) if isinstance(step, PodFault)]
    assert [_selected(kill.selector) for kill in kills] == [{"active"}, {"passive"}, {"witness"}]


def test_the_documentation_lists_every_experiment() -> None:
    text = (Path(__file__).parents[4] / "docs" / "chaos.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE)
    assert sorted(rows) == [path.stem for path in FILES]
