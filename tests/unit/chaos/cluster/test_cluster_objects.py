"""Objects of a cluster, and their conversion to a snapshot of the world."""

from __future__ import annotations

import msgspec
import pytest

from pairsim_chaos.cluster.objects import ChaosObject, area_of, pod_of
from pairsim_controller.kube.api.objects import AreaObject, Pod
from tests.unit.chaos.cluster.fake_cluster import Item, failed, injected


def pod_object(name: str, role: str = "", area: str = "", **more: object) -> dict[str, object]:
    labels = {"app.kubernetes.io/name": "pairsim", "app.kubernetes.io/component": "simulator"}
    labels |= {"pairsim.io/role": role} if role else {}
    labels |= {"pairsim.io/area": area} if area else {}
    return {
        "metadata": {"name": name, "labels": labels, **more},
        "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": []},
    }


def test_pods_have_an_address_while_they_run() -> None:
    found = pod_of(msgspec.convert(pod_object("a", "active", "west"), Pod))
    assert found is not None
    assert (found.name, found.component, found.area, found.role) == ("a", "simulator", "west", "active")
    assert found.url == "http://10.0.0.1:8080"
    by_ipv6 = pod_of(msgspec.convert({**pod_object("a"), "status": {"phase": "Running", "podIP": "fd00::5"}}, Pod))
    assert by_ipv6 is not None
    assert by_ipv6.url == "http://[fd00::5]:8080"
    leaving = pod_of(msgspec.convert(pod_object("a", deletionTimestamp="2026-01-01T00:00:00Z"), Pod))
    assert leaving is not None
    assert leaving.url == ""
    assert pod_of(msgspec.convert({"metadata": {"name": "x", "labels": {}}}, Pod)) is None


def test_an_area_is_redundant_when_its_condition_says_so() -> None:
    body = {
        "metadata": {"name": "west"},
        "spec": {"plane": "physics", "bounds": {"min": [0, 0, 0], "max": [1, 1, 1]}, "entities": 5},
    }
    unknown = area_of(msgspec.convert(body, AreaObject))
    assert (unknown.redundant, unknown.redundancy_gap) == (False, "the controller has not reported the area yet")
    condition = {"type": "Redundant", "status": "False", "message": "b is joining", "reason": "Joining"}
    status = {"conditions": [condition | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    assert area_of(msgspec.convert({**body, "status": status}, AreaObject)).redundancy_gap == "b is joining"
    status["conditions"][0]["status"] = "True"
    assert area_of(msgspec.convert({**body, "status": status}, AreaObject)).redundant


def test_an_object_shows_targets_conditions_and_complaints() -> None:
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
                                {"type": "Failed", "operation": "Apply", "message": "it broke"},
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
    assert found.complaint == "pairsim/a: it broke"


def test_a_removed_fault_counts_as_injected_if_it_was_in_all_its_pods() -> None:
    def fault(*counts: int) -> ChaosObject:
        records = [{"id": f"pairsim/{number}", "injectedCount": count} for number, count in enumerate(counts)]
        conditions = [{"type": "AllInjected", "status": "False"}]
        status = {"conditions": conditions, "experiment": {"containerRecords": records}}
        return msgspec.convert({"metadata": {"name": "cut"}, "status": status}, ChaosObject)

    assert [fault(1, 2).injected, fault(1, 0).injected, fault().injected] == [True, False, False]


def test_a_selector_without_matches_is_the_reason_of_a_missing_injection() -> None:
    status = {"conditions": [{"type": "Selected", "status": "False"}]}
    found = msgspec.convert({"metadata": {"name": "cut"}, "status": status}, ChaosObject)
    assert (found.complaint, found.not_injected_reason) == ("", "the selector matches no existing pod")


@pytest.mark.parametrize(
    ("status", "pods"),
    [
        (failed("a", "b"), ("pairsim/a", "pairsim/b")),
        (failed("a", others="Not Injected/Wait"), ("pairsim/a",)),  # the other pod may be injected at this moment
        (failed("a", others="Injected"), ()),  # the fault can still be removed from there
        (failed("a", others="Injected/Wait"), ()),
        (failed(others="Not Injected/Wait"), ()),  # the injection has not failed
        (injected("a"), ()),
    ],
)
def test_the_pods_of_a_failed_injection_are_listed_when_no_pod_has_the_fault(
    status: Item, pods: tuple[str, ...]
) -> None:
    assert msgspec.convert({"metadata": {"name": "cut"}, "status": status}, ChaosObject).failed_in == pods
