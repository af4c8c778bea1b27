"""What a cluster says, in the words of a scene."""

from __future__ import annotations

import msgspec
import pytest

from pairsim_chaos.cluster.objects import AreaObject, ChaosObject, PodObject, place, pod
from tests.unit.chaos.cluster.fake import Item, failed, injected


def pod_object(name: str, role: str = "", area: str = "", **more: object) -> dict[str, object]:
    labels = {"app.kubernetes.io/name": "pairsim", "app.kubernetes.io/component": "simulator"}
    labels |= {"pairsim.io/role": role} if role else {}
    labels |= {"pairsim.io/area": area} if area else {}
    return {
        "metadata": {"name": name, "labels": labels, **more},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": []},
    }


def test_pods_have_an_address_while_they_run() -> None:
    found = pod(msgspec.convert(pod_object("a", "active", "west"), PodObject))
    assert found is not None
    assert (found.name, found.component, found.area, found.role) == ("a", "simulator", "west", "active")
    assert found.url == "http://10.0.0.1:8080"
    leaving = pod(msgspec.convert(pod_object("a", deletionTimestamp="2026-01-01T00:00:00Z"), PodObject))
    assert leaving is not None
    assert leaving.url == ""
    assert pod(msgspec.convert({"metadata": {"name": "x", "labels": {}}}, PodObject)) is None


def test_an_area_is_redundant_when_its_condition_says_so() -> None:
    body = {
        "metadata": {"name": "west"},
        "spec": {"plane": "physics", "bounds": {"min": [0, 0, 0], "max": [1, 1, 1]}, "entities": 5},
    }
    unknown = place(msgspec.convert(body, AreaObject))
    assert (unknown.redundant, unknown.missing) == (False, "the controller has not said anything of it")
    status = {"conditions": [{"type": "Redundant", "status": "False", "message": "b is joining", "reason": "Joining"}]}
    assert place(msgspec.convert({**body, "status": status}, AreaObject)).missing == "b is joining"
    status["conditions"][0]["status"] = "True"
    assert place(msgspec.convert({**body, "status": status}, AreaObject)).redundant


def test_chaos_mesh_tells_targets_conditions_and_what_went_wrong() -> None:
    found = msgspec.convert(
        {
            "metadata": {"name": "cut"},
            "status": {
                "conditions": [{"type": "Selected", "status": "True"}, {"type": "AllInjected", "status": "False"}],
                "experiment": {
                    "desiredPhase": "Run",
                    "containerRecords": [
                        {
                            "id": "pairsim/a",
                            "phase": "Not Injected",
                            "events": [
                                {"type": "Succeeded", "operation": "Apply"},
                                {"type": "Failed", "operation": "Apply", "message": "unable to set tcs"},
                            ],
                        },
                        {"id": "pairsim/b/simulator", "selectorKey": ".", "events": [{"type": "Succeeded"}]},
                        {"id": "pairsim/c", "selectorKey": ".Target", "events": [{"type": "Succeeded"}]},
                    ],
                },
            },
        },
        ChaosObject,
    )
    assert found.has("Selected")
    assert not found.has("AllInjected")
    assert found.targets == ("a", "b")
    assert found.complaint == "pairsim/a: unable to set tcs"


def test_a_fault_that_was_taken_back_had_been_injected_if_it_was_in_all_its_pods() -> None:
    def fault(*counts: int) -> ChaosObject:
        records = [{"id": f"pairsim/{number}", "injectedCount": count} for number, count in enumerate(counts)]
        conditions = [{"type": "AllInjected", "status": "False"}]
        status = {"conditions": conditions, "experiment": {"containerRecords": records}}
        return msgspec.convert({"metadata": {"name": "cut"}, "status": status}, ChaosObject)

    assert [fault(1, 2).injected, fault(1, 0).injected, fault().injected] == [True, False, False]


def test_a_selector_that_means_nobody_is_why_nothing_was_injected() -> None:
    status = {"conditions": [{"type": "Selected", "status": "False"}]}
    found = msgspec.convert({"metadata": {"name": "cut"}, "status": status}, ChaosObject)
    assert (found.complaint, found.wanting) == ("", "its selector means no pod that is there now")


@pytest.mark.parametrize(
    ("status", "pods"),
    [
        (failed("a", "b"), ("a", "b")),
        (failed("a", others="Not Injected/Wait"), ("a", "other")),  # which is not tried while another one fails
        (failed("a", others="Injected"), ()),  # from where it can still be taken back
        (failed("a", others="Injected/Wait"), ()),
        (failed(others="Not Injected/Wait"), ()),  # which has not failed
        (injected("a"), ()),
    ],
)
def test_pods_that_a_fault_failed_in_are_told_when_it_is_in_no_other(status: Item, pods: tuple[str, ...]) -> None:
    assert msgspec.convert({"metadata": {"name": "cut"}, "status": status}, ChaosObject).failed_in == pods
