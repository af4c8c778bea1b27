"""Pods as processes, and labels on pods."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pairsim.model.status import Role
from pairsim_controller.kube.api.objects import Pod
from pairsim_controller.kube.pods import label_of, label_patch, process_of
from pairsim_controller.plan.view import Kind, Label


def base_labels(component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "pairsim",
        "app.kubernetes.io/part-of": "pairsim",
        "app.kubernetes.io/component": component,
    }


def pod(component: str = "simulator", **changes: Any) -> Pod:
    body: dict[str, Any] = {
        "metadata": {
            "name": "sim-1",
            "uid": "u1",
            "resourceVersion": "7",
            "labels": {**base_labels(component), **changes.pop("labels", {})},
            "annotations": changes.pop("annotations", {}),
            "managedFields": [{"manager": "kubelet"}],
            **changes.pop("metadata", {}),
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [
                {
                    "name": component,
                    "ports": [{"name": "http", "containerPort": 80}, {"name": "peer", "containerPort": 9}],
                }
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "containerStatuses": [{"name": component, "state": {"running": {"startedAt": "now"}}}],
            **changes,
        },
    }
    return msgspec.convert(body, Pod)


def test_a_running_pod_is_alive() -> None:
    seen = process_of(pod())
    assert seen is not None
    assert (seen.name, seen.kind, seen.peer, seen.url, seen.alive, seen.leaving, seen.node) == (
        "sim-1", Kind.SIMULATOR, "10.0.0.1:9", "http://10.0.0.1:80", True, False, "node-1",
    )  # fmt: skip
    assert seen.starts == 0
    again = process_of(
        pod(containerStatuses=[{"name": "simulator", "state": {"running": {}}, "restartCount": 3}, {"name": "other"}])
    )
    assert again is not None
    assert (again.alive, again.starts) == (True, 3)
    witness = process_of(pod("witness"))
    assert witness is not None
    assert witness.kind is Kind.WITNESS
    assert process_of(pod("controller")) is None
    assert process_of(msgspec.convert({"metadata": {"name": "x"}}, Pod)) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"containerStatuses": []},
        {"containerStatuses": [{"name": "simulator", "state": {"terminated": {"exitCode": 137}}}]},
        {"containerStatuses": [{"name": "simulator", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]},
        {"containerStatuses": [{"name": "other", "state": {"running": {}}}]},
        {"phase": "Failed"},
        {"phase": "Succeeded"},
        {"podIP": ""},
    ],
)
def test_a_pod_whose_process_does_not_run_is_not_alive(changes: dict[str, Any]) -> None:
    seen = process_of(pod(**changes))
    assert seen is not None
    assert not seen.alive


RAISED = {"exitCode": 70, "reason": "Error", "message": "a traceback\nstep raised KeyError in tick 812\n"}


@pytest.mark.parametrize(
    ("container", "note"),
    [
        ({"state": {"terminated": RAISED}}, "ended with exit code 70 (step raised KeyError in tick 812)"),
        (
            {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": RAISED}},
            "ended with exit code 70 (step raised KeyError in tick 812)",
        ),
        (
            {
                "state": {
                    "terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "timestamp='now' level='info'"}
                }
            },
            "ended with exit code 137 (OOMKilled)",
        ),
        ({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}, ""),
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, ""),
        ({"state": {"running": {}}, "lastState": {"terminated": RAISED}}, ""),
    ],
)
def test_a_container_that_does_not_run_shows_how_it_failed(container: dict[str, Any], note: str) -> None:
    seen = process_of(pod(containerStatuses=[{"name": "simulator", **container}]))
    assert seen is not None
    assert seen.note == note


def test_a_terminating_pod_is_alive_while_its_container_runs() -> None:
    seen = process_of(pod(metadata={"deletionTimestamp": "2030-01-01T00:00:00Z"}))
    assert seen is not None
    assert (seen.alive, seen.leaving) == (True, True)


def test_a_pod_with_an_ipv6_address_is_reached_by_it() -> None:
    seen = process_of(pod(podIP="fd00:10:244::5"))
    assert seen is not None
    assert (seen.peer, seen.url) == ("[fd00:10:244::5]:9", "http://[fd00:10:244::5]:80")


WEST = {"pairsim.io/role": "active", "pairsim.io/area": "west"}


@pytest.mark.parametrize(
    ("labels", "annotations", "label"),
    [
        ({}, {}, None),
        ({"pairsim.io/role": "queen"}, {}, None),
        ({"pairsim.io/role": "spare"}, {}, Label("", Role.SPARE, 0)),
        (WEST, {"pairsim.io/term": "7"}, Label("west", Role.ACTIVE, 7)),
        (WEST, {"pairsim.io/term": "²"}, Label("west", Role.ACTIVE, 0)),
    ],
)  # fmt: skip
def test_labels_are_read(labels: dict[str, str], annotations: dict[str, str], label: Label | None) -> None:
    assert label_of(pod(labels=labels, annotations=annotations)) == label


@pytest.mark.parametrize(
    "label", [Label("west", Role.ACTIVE, 7), Label("west", Role.PASSIVE, 3), Label("", Role.SPARE, 0)]
)
def test_written_labels_can_be_read(label: Label) -> None:
    patch: Any = label_patch(pod(), label, "physics")
    meta = patch["metadata"]
    assert (meta["uid"], meta["resourceVersion"]) == ("u1", "7"), "only if it is as it was read"
    assert label_of(pod(labels=meta["labels"], annotations=meta["annotations"])) == label
    assert meta["labels"].get("pairsim.io/plane") == ("physics" if label.area else None)


def test_deletion_costs_rise_from_spares_to_actives() -> None:
    roles = (Role.SPARE, Role.JOINING, Role.PASSIVE, Role.ACTIVE)
    patches: list[Any] = [label_patch(pod(), Label("west", role, 1), "physics") for role in roles]
    costs = [int(p["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"]) for p in patches]
    assert costs == sorted(set(costs))
