"""Files that are just within the rules: the linter must not find anything."""

from __future__ import annotations

import textwrap

import pytest

from tests.unit.chaos.lint.printed_findings import printed

ACTIVE = "mode: one\nselector: {labelSelectors: {pairsim.io/role: active}}\n"
PASSIVE = "target: {mode: all, selector: {labelSelectors: {pairsim.io/role: passive}}}\n"
NET = ACTIVE + "duration: 30s\n"
IO = NET + "volumePath: /data\n"
CHECK = 'http: {url: "http://[::1]:80/verdict?x=1", criteria: {statusCode: "1-999"}}\n'
YEARLY = """
schedule: '0 0 1 1 *'
type: Workflow
startingDeadlineSeconds: null
workflow:
  entry: wait
  templates: [{name: wait, templateType: Suspend, deadline: 1ms}]
"""
ENDED_FROM_OUTSIDE = """
entry: all
templates:
  - {name: all, templateType: Parallel, deadline: 1m, children: [fail, fail]}
  - name: fail
    templateType: PodChaos
    podChaos: {action: pod-failure, mode: one, selector: {labelSelectors: {pairsim.io/role: active}}}
"""
BRANCHING = """
entry: task
templates:
  - name: task
    templateType: Task
    task: {container: {name: look, image: any}}
    conditionalBranches: [{target: wait, expression: exitCode == 0}]
  - {name: wait, templateType: Suspend, deadline: 1s}
"""


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("PodChaos", ACTIVE.replace("mode: one", 'mode: fixed\nvalue: "1"') + "action: pod-kill\ngracePeriod: 0\n"),
        ("PodChaos", ACTIVE.replace("mode: one", 'mode: fixed-percent\nvalue: "100"') + "action: pod-kill\n"),
        ("PodChaos", ACTIVE.replace("mode: one", 'mode: random-max-percent\nvalue: "1"') + "action: pod-kill\n"),
        ("PodChaos", "action: pod-kill\nmode: all\nselector: {pods: {world: [sim-1]}}\n"),
        ("PodChaos", "action: pod-kill\nmode: one\nselector: {labelSelectors: {app.kubernetes.io/component: db}}\n"),
        ("PodChaos", "action: pod-kill\nmode: one\nselector: {nodes: [n1], podPhaseSelectors: [Running]}\n"),
        ("PodChaos", ACTIVE + "action: pod-failure\nduration: 1h1m1.5s\n"),
        (
            "NetworkChaos",
            NET + 'action: netem\ndelay: {latency: 1.5s, jitter: 0ms, correlation: "0"}\nloss: {loss: "100"}\n',
        ),
        ("NetworkChaos", NET + PASSIVE + 'action: loss\ndirection: from\nloss: {loss: "0.1", correlation: "100"}\n'),
        ("NetworkChaos", NET + "action: partition\ndirection: both\nexternalTargets: [10.0.0.1]\n"),
        ("NetworkChaos", NET + PASSIVE + "action: partition\ndirection: from\n"),
        ("NetworkChaos", NET + 'action: delay\ndelay: {latency: 1ms, reorder: {reorder: "50"}}\n'),
        ("NetworkChaos", NET + "action: delay\ndirection: to\nexternalTargets: [10.0.0.0/8]\ndelay: {latency: 1ms}\n"),
        (
            "NetworkChaos",
            NET + "action: bandwidth\nbandwidth: {rate: 1bps, limit: 1, buffer: 1, peakrate: 0, minburst: 0}\n",
        ),
        ("StressChaos", NET + "stressors: {cpu: {workers: 8192, load: 0}}\n"),
        ("StressChaos", NET + "stressors: {memory: {workers: 1, size: 100%, oomScoreAdj: -1000}}\n"),
        ("StressChaos", NET + "stressngStressors: --cpu 1\n"),
        ("TimeChaos", NET + "timeOffset: -1ns\nclockIds: [CLOCK_BOOTTIME]\n"),
        ("IOChaos", IO + "action: fault\nerrno: 1\npercent: 1\nmethods: [fsync]\npath: /data/**/*.journal\n"),
        ("IOChaos", IO + "action: latency\ndelay: 1ms\npercent: 100\npath: '**/*'\n"),
        ("IOChaos", IO + "action: mistake\nmistake: {filling: zero, maxOccurrences: 1, maxLength: 1}\n"),
        ("StatusCheck", "type: HTTP\nmode: Synchronous\nsuccessThreshold: 1\n" + CHECK),
        ("StatusCheck", "type: HTTP\nmode: Continuous\nduration: 1m\n" + CHECK),
        ("Schedule", YEARLY),
        ("Workflow", ENDED_FROM_OUTSIDE),
        ("Workflow", BRANCHING),
    ],
)
def test_a_correct_spec_has_no_findings(kind: str, spec: str) -> None:
    head = f"apiVersion: chaos-mesh.org/v1alpha1\nkind: {kind}\nmetadata: {{name: it}}\nspec:\n"
    assert printed(head + textwrap.indent(spec, "  ")) == []
