"""Waits that an experiment with repeated kills makes are explained, and no others."""

from __future__ import annotations

import pytest

from pairsim_chaos.experiment.model import Experiment
from pairsim_chaos.probe.observations import ObservedTakeover
from pairsim_chaos.verdict.notes import notes
from tests.unit.chaos.cluster.fake_cluster import experiment
from tests.unit.chaos.verdict.test_checks_and_report import findings

SELECTED = "mode: one, selector: {labelSelectors: {pairsim.io/role: active}}"
KILL = f"{{action: pod-kill, {SELECTED}}}"
FAIL = f"{{action: pod-failure, duration: 9s, {SELECTED}}}"
AGAIN = experiment("Schedule", f'  schedule: "@every 2s"\n  type: PodChaos\n  podChaos: {KILL}\n')
ONCE = experiment("PodChaos", "  action: pod-kill\n  mode: one\n  selector: {labelSelectors: {a: b}}\n")
FAILS = experiment("Schedule", f'  schedule: "@every 2s"\n  type: PodChaos\n  podChaos: {FAIL}\n')
TWICE = experiment(
    "Workflow",
    "  entry: all\n  templates:\n    - {name: all, templateType: Serial, deadline: 9m, children: [a, b]}\n"
    + "".join(
        f"    - {{name: {name}, templateType: PodChaos, deadline: 2s, podChaos: {KILL}}}\n" for name in ("a", "b")
    ),
)


def takeovers(count: int, interval: float) -> tuple[tuple[ObservedTakeover, float], ...]:
    return tuple((ObservedTakeover(interval * number, number, "a", "b"), 1.0) for number in range(count))


@pytest.mark.parametrize("made", [AGAIN, TWICE])
def test_an_experiment_that_kills_every_few_seconds_is_reported_as_such(made: Experiment) -> None:
    assert notes(made.spec, [findings(takeovers=takeovers(22, 1.8), longest_pause=5.9), findings(takeovers=())]) == (
        (
            "west: 22 takeovers in 38 s, one every 1.8 s, because the experiment kills again and again. While both "
            "copies are gone, commands wait until one is back, which is expected here: the longest wait was 5.9 s"
        ),
    )


@pytest.mark.parametrize(
    ("made", "count", "interval"), [(ONCE, 22, 1.8), (FAILS, 22, 1.8), (AGAIN, 2, 1.8), (AGAIN, 22, 11.0)]
)
def test_other_waits_are_not_explained_away(made: Experiment, count: int, interval: float) -> None:
    assert notes(made.spec, [findings(takeovers=takeovers(count, interval))]) == ()
