"""A pair in a cluster: its labels, its takeovers, and a controller that fails or is replaced.

The API server in memory checks at each change that no two pods of an area are labelled active.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from pairsim.model.status import Role
from pairsim_controller.kube.api.port import (
    AREAS,
    BUDGETS,
    PLANES,
    PODS,
    SERVICES,
    ApiError,
    Body,
    ChangedError,
    Resource,
)
from tests.unit.controller.builders import replica
from tests.unit.controller.cluster_harness import cluster_harness


async def test_an_area_becomes_a_pair_with_labels_services_and_a_status() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        assert cluster.label("sim-1") == ("active", "west", "1")
        assert cluster.label("sim-2")[:2] == ("passive", "west")
        await cluster.until(lambda: cluster.label("sim-3") == ("spare", "", ""))
        await cluster.until(lambda: (SERVICES.plural, "west-any") in cluster.api.objects)
        await cluster.until(lambda: (BUDGETS.plural, "west") in cluster.api.objects)
        status = cluster.status("west")
        assert (status.active, status.passive, status.witness, status.synced, status.entities) == (
            "sim-1", "sim-2", "witness-1", True, 7,
        )  # fmt: skip
        assert cluster.api.get(AREAS, "west")["metadata"]["finalizers"] == ["pairsim.io/release"]
        plane = cluster.api.get(PODS, "sim-1")["metadata"]["labels"]["pairsim.io/plane"]
        assert plane == "physics"
        assert {"Founded", "Ready", "Redundant"} <= {reason for _area, reason, _note in cluster.api.events}


async def test_no_request_is_sent_before_the_assignment_is_written() -> None:
    async with cluster_harness() as cluster:
        cluster.api.fail = refuse_status
        controller = await cluster.controller()
        await cluster.until(lambda: controller.reconcile_queue.failures > 3)
        assert not any(fake.orders for fake in cluster.replicas.fakes.values())
        cluster.api.fail = nothing
        await cluster.paired()
        assert cluster.status("west").assignment is not None


def refuse_status(resource: Resource, body: dict[str, Any]) -> None:
    if "status" in body:
        raise ApiError("no")


def nothing(resource: Resource, body: dict[str, Any]) -> None:
    pass


async def test_a_new_leader_swaps_the_labels_at_once_and_demotes_first() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        before = len(cluster.api.labels)
        cluster.replicas.lead("west", "sim-2")
        await cluster.until(lambda: cluster.label("sim-2") == ("active", "west", "2"))
        roles = [(now["sim-1"][0], now["sim-2"][0]) for now in cluster.api.labels[before:]]
        assert ("passive", "passive") in roles
        assert roles[-1] == ("passive", "active")
        await cluster.until(lambda: cluster.status("west").last_takeover is not None)
        last = cluster.status("west").last_takeover
        assert last is not None
        assert (last.from_, last.to, last.ticks_lost) == ("sim-1", "sim-2", 0)


async def test_a_lost_pod_is_replaced_by_the_spare() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        await cluster.lose("sim-1")
        await cluster.until(lambda: cluster.roles("west") == {"sim-2": "active", "sim-3": "passive"})
        await cluster.until(lambda: cluster.status("west").generation == 2)
        await cluster.until(lambda: {"Takeover", "Replacing"} <= {reason for _a, reason, _n in cluster.api.events})


async def test_a_pod_that_is_deleted_while_its_label_is_written_stays_deleted() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        apply = cluster.api.apply

        async def late(resource: Resource, body: Body, **options: Any) -> Body:
            answer = await apply(resource, body, **options)
            if resource == PODS and "sim-1" in str(body) and (PODS.plural, "sim-1") in cluster.api.objects:
                await cluster.lose("sim-1")
            return answer

        cluster.api.apply = late  # type: ignore[method-assign]
        cluster.replicas.lead("west", "sim-2")
        await cluster.until(lambda: cluster.roles("west") == {"sim-2": "active", "sim-3": "passive"})


async def test_a_terminating_pod_hands_over_and_is_replaced_before_it_ends() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        cluster.api.change(PODS, "sim-1", lambda pod: pod["metadata"].update(deletionTimestamp="2030-01-01T00:00:00Z"))
        await cluster.until(lambda: cluster.roles("west") == {"sim-2": "active", "sim-3": "passive"})
        assert cluster.label("sim-1")[0] == "spare"
        assert ("switchover", "west") in cluster.replicas.fakes["sim-1"].orders
        await cluster.until(lambda: cluster.status("west").last_takeover is not None)
        last = cluster.status("west").last_takeover
        assert last is not None
        assert last.reason == "Switchover"


async def test_a_restarted_controller_adopts_the_running_pair() -> None:
    async with cluster_harness() as cluster:
        first = await cluster.controller()
        await cluster.paired()
        await first.stop()
        cluster.replicas.lead("west", "sim-2")
        orders = {name: list(fake.orders) for name, fake in cluster.replicas.fakes.items()}
        await cluster.controller()
        await cluster.until(lambda: cluster.label("sim-2") == ("active", "west", "2"))
        await cluster.until(lambda: cluster.status("west").active == "sim-2")
        assert {name: fake.orders for name, fake in cluster.replicas.fakes.items()} == orders
        assert cluster.status("west").generation == 1


async def test_a_lost_status_is_rebuilt_from_the_statuses_of_the_pods() -> None:
    async with cluster_harness() as cluster:
        first = await cluster.controller()
        await cluster.paired()
        await first.stop()
        cluster.api.change(AREAS, "west", lambda area: area.pop("status"))
        await cluster.controller()
        await cluster.until(lambda: cluster.status("west").assignment is not None)
        assert cluster.status("west").generation == 1
        assert cluster.status("west").active == "sim-1"


async def test_a_paused_area_is_labelled_and_not_repaired() -> None:
    for resource, name in ((AREAS, "west"), (PLANES, "physics")):
        async with cluster_harness() as cluster:
            await cluster.controller()
            await cluster.paired()
            cluster.api.change(
                resource, name, lambda x: x["metadata"].update(annotations={"pairsim.io/paused": "true"})
            )
            await cluster.until(lambda: "Paused" in {reason for _a, reason, _n in cluster.api.events})
            await cluster.lose("sim-1")
            await cluster.until(lambda: cluster.label("sim-2") == ("active", "west", "2"))
            assert cluster.label("sim-3")[0] == "spare"
            assert cluster.status("west").generation == 1
            cluster.api.change(resource, name, lambda x: x["metadata"].update(annotations={}))
            await cluster.until(lambda: cluster.roles("west") == {"sim-2": "active", "sim-3": "passive"})


async def test_a_controller_without_the_lease_writes_and_requests_nothing() -> None:
    async with cluster_harness() as cluster:
        controller = await cluster.controller()
        await cluster.paired()
        await cluster.until(lambda: (SERVICES.plural, "west-any") in cluster.api.objects)
        await cluster.until(lambda: cluster.status("west").version)
        controller.holds = False
        requests, granted = len(cluster.api.requests), len(cluster.replicas.granted)
        orders = {name: list(fake.orders) for name, fake in cluster.replicas.fakes.items()}
        failures = controller.reconcile_queue.failures
        cluster.replicas.lead("west", "sim-2")
        await cluster.until(lambda: controller.reconcile_queue.failures > failures)
        await cluster.lose("sim-1")
        await cluster.until(lambda: controller.reconcile_queue.failures > failures + 1)
        assert (len(cluster.api.requests), len(cluster.replicas.granted)) == (requests, granted)
        assert {name: fake.orders for name, fake in cluster.replicas.fakes.items()} == orders


async def test_a_pod_that_changed_in_between_is_labelled_after_a_conflict() -> None:
    async with cluster_harness() as cluster:
        controller = await cluster.controller()
        await cluster.paired()
        cluster.api.held = True
        cluster.api.change(PODS, "sim-1", lambda pod: pod["status"].update(message="probed"))
        cluster.replicas.lead("west", "sim-2")
        tries = len([1 for what, name in cluster.api.requests if name == "sim-1"])
        await cluster.until(lambda: len([1 for what, name in cluster.api.requests if name == "sim-1"]) > tries + 2)
        assert cluster.roles("west") == {"sim-1": "active", "sim-2": "passive"}, "the promotion waits for the demotion"
        cluster.api.release()
        await cluster.until(lambda: cluster.roles("west") == {"sim-1": "passive", "sim-2": "active"})
        assert controller.reconcile_queue.failures == 0, "a conflict is no failure"


async def test_requests_that_the_api_server_fails_are_repeated() -> None:
    async with cluster_harness() as cluster:
        count = 0

        def every_other(resource: Resource, body: dict[str, Any]) -> None:
            nonlocal count
            count += 1
            if count % 2:
                raise ApiError("500 Internal Server Error")

        cluster.api.fail = every_other
        await cluster.controller()
        await cluster.paired()
        for name in ("sim-2", "sim-1", "sim-2"):
            cluster.replicas.lead("west", name)
            await cluster.until(lambda name=name: cluster.label(name)[0] == "active")


async def test_labels_catch_up_after_an_outage_of_the_api_server() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        cluster.api.down = cluster.api.held = True
        for name in ("sim-2", "sim-1", "sim-2"):
            cluster.replicas.lead("west", name)
            await asyncio.sleep(0)
        requests = len(cluster.api.requests)
        await cluster.until(lambda: len(cluster.api.requests) > requests + 3)
        assert cluster.roles("west") == {"sim-1": "active", "sim-2": "passive"}
        cluster.api.down = False
        cluster.api.release()
        await cluster.until(lambda: cluster.label("sim-2") == ("active", "west", "4"))
        await cluster.paired()


async def test_a_hanging_api_server_does_not_block_the_next_controller() -> None:
    async with cluster_harness() as cluster:
        first = await cluster.controller()
        await cluster.paired()
        cluster.api.hung = True
        cluster.replicas.lead("west", "sim-2")
        requests = len(cluster.api.requests)
        await cluster.until(lambda: len(cluster.api.requests) > requests)
        await first.stop()
        cluster.api.hung = False
        await cluster.controller()
        await cluster.until(lambda: cluster.label("sim-2") == ("active", "west", "2"))


async def test_a_stale_active_does_not_get_the_label() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        cluster.replicas.lead("west", "sim-2")
        await cluster.until(lambda: cluster.label("sim-2") == ("active", "west", "2"))
        zombie = cluster.replicas.fakes["sim-1"]
        of = zombie.has["west"]
        zombie.says = replica("sim-1", of, Role.ACTIVE, term=1)
        before = len(cluster.api.labels)
        zombie.push()
        cluster.replicas.fakes["sim-2"].says = replica("sim-2", of, Role.PASSIVE, term=2)
        cluster.replicas.fakes["sim-2"].push()
        await cluster.until(lambda: cluster.roles("west") == {"sim-1": "passive", "sim-2": "passive"})
        assert all(now["sim-1"][0] != "active" for now in cluster.api.labels[before:])


async def test_the_next_controller_completes_a_promotion() -> None:
    async with cluster_harness() as cluster:
        first = await cluster.controller()
        await cluster.paired()
        cluster.api.fail = no_promotion
        cluster.replicas.lead("west", "sim-2")
        await cluster.until(lambda: cluster.roles("west") == {"sim-1": "passive", "sim-2": "passive"})
        await first.stop()
        cluster.api.fail = nothing
        await cluster.controller()
        await cluster.until(lambda: cluster.roles("west") == {"sim-1": "passive", "sim-2": "active"})


def no_promotion(resource: Resource, body: dict[str, Any]) -> None:
    if body["metadata"].get("labels", {}).get("pairsim.io/role") == "active":
        raise ApiError("not now")


async def test_a_late_promotion_is_refused() -> None:
    """The first controller stops right before it promotes sim-2; the second goes on; then the first writes."""
    async with cluster_harness() as cluster:
        first = await cluster.controller()
        await cluster.paired()
        stopped: list[dict[str, Any]] = []

        def stop(resource: Resource, body: dict[str, Any]) -> None:
            if body["metadata"].get("labels", {}).get("pairsim.io/role") == "active":
                stopped.append(body)
                raise ApiError("it never arrived")

        cluster.api.fail = stop
        cluster.replicas.lead("west", "sim-2")
        await cluster.until(lambda: stopped)
        await first.stop()
        cluster.api.fail = nothing
        cluster.replicas.lead("west", "sim-1")
        await cluster.controller()
        await cluster.until(lambda: cluster.label("sim-1") == ("active", "west", "3"))
        with pytest.raises(ChangedError):
            await cluster.api.apply(PODS, stopped[0])


async def test_an_area_without_reachable_members_is_left_alone() -> None:
    async with cluster_harness(simulators=4, witnesses=2) as cluster:
        await cluster.controller()
        await cluster.paired()
        status = cluster.status("west")
        members = (status.active, status.passive, status.witness)
        orders = {name: list(fake.orders) for name, fake in cluster.replicas.fakes.items()}
        for name in members:
            await cluster.replicas.fakes[name].stop()
        await cluster.until(
            lambda: (c := cluster.status("west").condition("Ready")) is not None and c.status == "Unknown"
        )
        await cluster.until(lambda: "Waiting" in {reason for _a, reason, _n in cluster.api.events})
        assert {name: fake.orders for name, fake in cluster.replicas.fakes.items()} == orders
        assert cluster.roles("west") == {"sim-1": "active", "sim-2": "passive"}, (
            "a label is taken by somebody else only"
        )
        assert cluster.status("west").assignment == status.assignment


async def test_a_divergence_is_an_event_at_once() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        fake = cluster.replicas.fakes["sim-2"]
        fake.says = msgspec.structs.replace(fake.status(), divergences=1)  # type: ignore[type-var]
        fake.push()
        sentence = "sim-2 came to another state than the active sim-1: its simulator's step is not deterministic"
        await cluster.until(lambda: ("west", "Diverged", sentence) in cluster.api.events)


async def test_a_time_without_an_active_is_an_event_although_nothing_else_happens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All processes can be reached and nothing is left to do, so no other round is due."""
    monkeypatch.setattr("pairsim_controller.story.active_tracker.STANDSTILL_SECONDS", 1.2)
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        del cluster.replicas.actives["west"]
        cluster.replicas.fakes["sim-1"].push()
        note = "no active for 1 s: sim-1 is passive, and no replica is active"
        await cluster.until(lambda: ("west", "NotReady", note) in cluster.api.events)
        cluster.replicas.lead("west", "sim-1")
        await cluster.until(lambda: any(r == "Ready" and "active again" in note for _a, r, note in cluster.api.events))
