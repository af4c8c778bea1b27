"""The controller in a cluster.

Over the whole history of every test there are never two actives of an area: the API server in memory checks it at each
change.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

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
from tests.unit.controller.cluster_harness import Scene, scene


async def test_an_area_becomes_a_pair_with_labels_services_and_a_status() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        assert at.label("sim-1") == ("active", "west", "1")
        assert at.label("sim-2")[:2] == ("passive", "west")
        await at.until(lambda: at.label("sim-3") == ("spare", "", ""))
        await at.until(lambda: (SERVICES.plural, "west-any") in at.api.objects)
        await at.until(lambda: (BUDGETS.plural, "west") in at.api.objects)
        status = at.status("west")
        assert (status.active, status.passive, status.witness, status.synced, status.entities) == (
            "sim-1", "sim-2", "witness-1", True, 7,
        )  # fmt: skip
        assert at.api.get(AREAS, "west")["metadata"]["finalizers"] == ["pairsim.io/release"]
        plane = at.api.get(PODS, "sim-1")["metadata"]["labels"]["pairsim.io/plane"]
        assert plane == "physics"
        assert {"Founded", "Ready", "Redundant"} <= {reason for _area, reason, _note in at.api.events}


async def test_nothing_is_sent_before_it_is_written_down() -> None:
    async with scene() as at:
        at.api.fail = refuse_status
        controller = await at.controller()
        await at.until(lambda: controller.looks.failures > 3)
        assert not any(fake.orders for fake in at.replicas.fakes.values())
        at.api.fail = nothing
        await at.paired()
        assert at.status("west").assignment is not None


def refuse_status(resource: Resource, body: dict[str, Any]) -> None:
    if "status" in body:
        raise ApiError("no")


def nothing(resource: Resource, body: dict[str, Any]) -> None:
    pass


async def test_a_leader_change_swaps_the_labels_in_order_and_at_once() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        before = len(at.api.labels)
        at.replicas.lead("west", "sim-2")
        await at.until(lambda: at.label("sim-2") == ("active", "west", "2"))
        roles = [(now["sim-1"][0], now["sim-2"][0]) for now in at.api.labels[before:]]
        assert ("passive", "passive") in roles
        assert roles[-1] == ("passive", "active")
        await at.until(lambda: at.status("west").last_takeover is not None)
        last = at.status("west").last_takeover
        assert last is not None
        assert (last.from_, last.to, last.ticks_lost) == ("sim-1", "sim-2", 0)


async def test_a_lost_pod_is_replaced_by_the_spare() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        await at.lose("sim-1")
        await at.until(lambda: at.roles("west") == {"sim-2": "active", "sim-3": "passive"})
        await at.until(lambda: at.status("west").generation == 2)
        await at.until(lambda: {"Takeover", "Replacing"} <= {reason for _a, reason, _n in at.api.events})


async def test_a_pod_that_goes_while_its_label_is_written_stays_gone() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        apply = at.api.apply

        async def late(resource: Resource, body: Body, **options: Any) -> Body:
            answer = await apply(resource, body, **options)
            if resource == PODS and "sim-1" in str(body) and (PODS.plural, "sim-1") in at.api.objects:
                await at.lose("sim-1")
            return answer

        at.api.apply = late  # type: ignore[method-assign]
        at.replicas.lead("west", "sim-2")
        await at.until(lambda: at.roles("west") == {"sim-2": "active", "sim-3": "passive"})


async def test_a_pod_that_is_drained_hands_over_and_is_replaced_before_it_goes() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        at.api.change(PODS, "sim-1", lambda pod: pod["metadata"].update(deletionTimestamp="2030-01-01T00:00:00Z"))
        await at.until(lambda: at.roles("west") == {"sim-2": "active", "sim-3": "passive"})
        assert at.label("sim-1")[0] == "spare"
        assert ("switchover", "west") in at.replicas.fakes["sim-1"].orders
        await at.until(lambda: at.status("west").last_takeover is not None)
        last = at.status("west").last_takeover
        assert last is not None
        assert last.reason == "Switchover"


async def test_a_controller_that_starts_again_adopts_what_is_there() -> None:
    async with scene() as at:
        first = await at.controller()
        await at.paired()
        await first.stop()
        at.replicas.lead("west", "sim-2")
        orders = {name: list(fake.orders) for name, fake in at.replicas.fakes.items()}
        await at.controller()
        await at.until(lambda: at.label("sim-2") == ("active", "west", "2"))
        await at.until(lambda: at.status("west").active == "sim-2")
        assert {name: fake.orders for name, fake in at.replicas.fakes.items()} == orders
        assert at.status("west").generation == 1


async def test_a_status_that_was_lost_is_made_from_what_the_pods_say() -> None:
    async with scene() as at:
        first = await at.controller()
        await at.paired()
        await first.stop()
        at.api.change(AREAS, "west", lambda area: area.pop("status"))
        await at.controller()
        await at.until(lambda: at.status("west").assignment is not None)
        assert at.status("west").generation == 1
        assert at.status("west").active == "sim-1"


async def test_a_paused_area_is_labelled_and_not_repaired() -> None:
    for resource, name in ((AREAS, "west"), (PLANES, "physics")):
        async with scene() as at:
            await at.controller()
            await at.paired()
            at.api.change(resource, name, lambda x: x["metadata"].update(annotations={"pairsim.io/paused": "true"}))
            await at.until(lambda: "Paused" in {reason for _a, reason, _n in at.api.events})
            await at.lose("sim-1")
            await at.until(lambda: at.label("sim-2") == ("active", "west", "2"))
            assert at.label("sim-3")[0] == "spare"
            assert at.status("west").generation == 1
            at.api.change(resource, name, lambda x: x["metadata"].update(annotations={}))
            await at.until(lambda: at.roles("west") == {"sim-2": "active", "sim-3": "passive"})


async def test_whoever_lost_the_lease_does_nothing_more() -> None:
    async with scene() as at:
        controller = await at.controller()
        await at.paired()
        await at.until(lambda: (SERVICES.plural, "west-any") in at.api.objects)
        controller.holds = False
        requests = len(at.api.requests)
        orders = {name: list(fake.orders) for name, fake in at.replicas.fakes.items()}
        failures = controller.looks.failures
        at.replicas.lead("west", "sim-2")
        await at.until(lambda: controller.looks.failures > failures)
        await at.lose("sim-1")
        await at.until(lambda: controller.looks.failures > failures + 1)
        assert len(at.api.requests) == requests
        assert {name: fake.orders for name, fake in at.replicas.fakes.items()} == orders


async def test_a_pod_that_changed_in_between_is_labelled_all_the_same() -> None:
    async with scene() as at:
        controller = await at.controller()
        await at.paired()
        at.api.held = True
        at.api.change(PODS, "sim-1", lambda pod: pod["status"].update(message="probed"))
        at.replicas.lead("west", "sim-2")
        tries = len([1 for what, name in at.api.requests if name == "sim-1"])
        await at.until(lambda: len([1 for what, name in at.api.requests if name == "sim-1"]) > tries + 2)
        assert at.roles("west") == {"sim-1": "active", "sim-2": "passive"}, "the promotion waits for the demotion"
        at.api.release()
        await at.until(lambda: at.roles("west") == {"sim-1": "passive", "sim-2": "active"})
        assert controller.looks.failures == 0, "a conflict is no failure"


async def test_an_api_server_that_fails_now_and_then_is_asked_again() -> None:
    async with scene() as at:
        count = 0

        def every_other(resource: Resource, body: dict[str, Any]) -> None:
            nonlocal count
            count += 1
            if count % 2:
                raise ApiError("500 Internal Server Error")

        at.api.fail = every_other
        await at.controller()
        await at.paired()
        for name in ("sim-2", "sim-1", "sim-2"):
            at.replicas.lead("west", name)
            await at.until(lambda name=name: at.label(name)[0] == "active")


async def test_with_the_api_server_gone_it_goes_on_observing_and_the_labels_catch_up() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        at.api.down = at.api.held = True
        for name in ("sim-2", "sim-1", "sim-2"):
            at.replicas.lead("west", name)
            await asyncio.sleep(0)
        requests = len(at.api.requests)
        await at.until(lambda: len(at.api.requests) > requests + 3)
        assert at.roles("west") == {"sim-1": "active", "sim-2": "passive"}
        at.api.down = False
        at.api.release()
        await at.until(lambda: at.label("sim-2") == ("active", "west", "4"))
        await at.paired()


async def test_an_api_server_that_hangs_holds_nobody_up_for_good() -> None:
    async with scene() as at:
        first = await at.controller()
        await at.paired()
        at.api.hung = True
        at.replicas.lead("west", "sim-2")
        requests = len(at.api.requests)
        await at.until(lambda: len(at.api.requests) > requests)
        await first.stop()
        at.api.hung = False
        await at.controller()
        await at.until(lambda: at.label("sim-2") == ("active", "west", "2"))


async def test_a_stale_replica_does_not_get_the_label() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        at.replicas.lead("west", "sim-2")
        await at.until(lambda: at.label("sim-2") == ("active", "west", "2"))
        zombie = at.replicas.fakes["sim-1"]
        of = zombie.has["west"]
        zombie.says = replica("sim-1", of, Role.ACTIVE, term=1)
        before = len(at.api.labels)
        zombie.push()
        at.replicas.fakes["sim-2"].says = replica("sim-2", of, Role.PASSIVE, term=2)
        at.replicas.fakes["sim-2"].push()
        await at.until(lambda: at.roles("west") == {"sim-1": "passive", "sim-2": "passive"})
        assert all(now["sim-1"][0] != "active" for now in at.api.labels[before:])


async def test_a_controller_that_is_killed_between_demotion_and_promotion() -> None:
    async with scene() as at:
        first = await at.controller()
        await at.paired()
        at.api.fail = no_promotion
        at.replicas.lead("west", "sim-2")
        await at.until(lambda: at.roles("west") == {"sim-1": "passive", "sim-2": "passive"})
        await first.stop()
        at.api.fail = nothing
        await at.controller()
        await at.until(lambda: at.roles("west") == {"sim-1": "passive", "sim-2": "active"})


def no_promotion(resource: Resource, body: dict[str, Any]) -> None:
    if body["metadata"].get("labels", {}).get("pairsim.io/role") == "active":
        raise ApiError("not now")


async def test_a_promotion_that_comes_much_too_late_is_refused() -> None:
    """The first controller stops right before it promotes sim-2; the second goes on; then the first writes."""
    async with scene() as at:
        first = await at.controller()
        await at.paired()
        stopped: list[dict[str, Any]] = []

        def stop(resource: Resource, body: dict[str, Any]) -> None:
            if body["metadata"].get("labels", {}).get("pairsim.io/role") == "active":
                stopped.append(body)
                raise ApiError("it never arrived")

        at.api.fail = stop
        at.replicas.lead("west", "sim-2")
        await at.until(lambda: stopped)
        await first.stop()
        at.api.fail = nothing
        at.replicas.lead("west", "sim-1")
        await at.controller()
        await at.until(lambda: at.label("sim-1") == ("active", "west", "3"))
        with pytest.raises(ChangedError):
            await at.api.apply(PODS, stopped[0])


async def test_with_all_its_members_out_of_reach_an_area_is_left_alone() -> None:
    async with scene(simulators=4, witnesses=2) as at:
        await at.controller()
        await at.paired()
        status = at.status("west")
        members = (status.active, status.passive, status.witness)
        orders = {name: list(fake.orders) for name, fake in at.replicas.fakes.items()}
        for name in members:
            await at.replicas.fakes[name].stop()
        await at.until(lambda: (c := at.status("west").condition("Ready")) is not None and c.status == "Unknown")
        await at.until(lambda: "Waiting" in {reason for _a, reason, _n in at.api.events})
        assert {name: fake.orders for name, fake in at.replicas.fakes.items()} == orders
        assert at.roles("west") == {"sim-1": "active", "sim-2": "passive"}, "a label is taken by somebody else only"
        assert at.status("west").assignment == status.assignment


async def test_an_area_that_is_deleted_goes_when_nobody_has_it_any_more() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        at.api.remove(AREAS, "west")
        await at.until(lambda: (AREAS.plural, "west") not in at.api.objects)
        assert all(not fake.has for fake in at.replicas.fakes.values())
        await at.until(lambda: [now[0] for now in at.api.labels[-1].values()] == ["spare"] * 3)


def kept_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_an_area_that_is_deleted_is_backed_up_by_its_active_first(tmp_path: Path) -> None:
    async with scene() as at:
        await at.controller(tmp_path)
        await at.paired()
        at.api.remove(AREAS, "west")
        await at.until(lambda: (AREAS.plural, "west") not in at.api.objects)
        (kept,) = kept_in(tmp_path)
        assert (kept.read_bytes(), kept.name.endswith("-tick-5.jsonl.gz")) == (b"all of it", True)
        assert ("west", "BackedUp", f"its last state is kept in {kept.name}") in at.api.events
        assert [what for what, _area in at.replicas.fakes["sim-1"].orders] == ["assign", "backup", "release"]
        assert "backup" not in [what for what, _area in at.replicas.fakes["sim-2"].orders]


async def test_a_backup_that_fails_holds_the_deletion_until_the_user_gives_the_state_up(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with scene() as at:
        await at.controller(tmp_path / "file")
        await at.paired()
        at.api.remove(AREAS, "west")
        await at.until(lambda: any("cannot write into" in note for _a, _reason, note in at.api.events))
        assert at.roles("west") == {"sim-1": "active", "sim-2": "passive"}
        skipped = at.api.get(AREAS, "west")
        skipped["metadata"]["annotations"] = {"pairsim.io/backup": "skip"}
        at.api.put(AREAS, skipped)
        await at.until(lambda: (AREAS.plural, "west") not in at.api.objects)


async def test_a_controller_that_takes_over_a_deletion_does_not_back_up_again(tmp_path: Path) -> None:
    async with scene() as at:
        first = await at.controller(tmp_path)
        await at.paired()
        at.replicas.hang("sim-2")  # its release is not answered
        at.api.remove(AREAS, "west")
        await at.until(lambda: not at.replicas.fakes["sim-1"].has)
        await first.stop()
        await at.controller(tmp_path)
        at.replicas.hang("sim-2", False)
        await at.until(lambda: (AREAS.plural, "west") not in at.api.objects)
        assert len(kept_in(tmp_path)) == 1


async def test_a_deletion_waits_for_a_member_that_cannot_be_reached() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        at.replicas.hang("sim-2")
        at.api.remove(AREAS, "west")
        await at.until(lambda: not at.replicas.fakes["sim-1"].has)
        assert at.api.get(AREAS, "west")["metadata"]["deletionTimestamp"]
        at.replicas.hang("sim-2", False)
        await at.replicas.fakes["sim-2"].stop()
        at.api.remove(PODS, "sim-2")
        await at.until(lambda: (AREAS.plural, "west") not in at.api.objects)


async def test_two_areas_never_get_the_same_spare() -> None:
    async with scene(simulators=5, areas=("east", "west")) as at:
        await at.controller()
        await at.paired("east")
        await at.paired("west")
        lost = [at.status(area).active for area in ("east", "west")]
        await asyncio.gather(*(at.lose(name) for name in lost))
        await at.until(lambda: sorted(len(at.roles(area)) for area in ("east", "west")) == [1, 2])
        await at.until(lambda: "Waiting" in {reason for _a, reason, _n in at.api.events})
        waits = next(a for a, reason, note in at.api.events if reason == "Waiting" and "no spare is available" in note)
        await at.pod("sim-9")
        await at.paired(waits)


async def test_areas_that_cannot_be_are_told_and_not_founded() -> None:
    async with scene(simulators=6) as at:
        await at.controller()
        await at.paired()
        at.area("over", 0)
        at.area("lost", 5, plane="nowhere")
        at.area("wide", 7, bounds={"min": [0, 0, 0], "max": [2000, 1, 1]})
        for name, words in (
            ("over", "overlap those of area west"),
            ("lost", "plane nowhere"),
            ("wide", "reach beyond"),
        ):
            await at.until(lambda n=name, w=words: any(a == n and w in note for a, _r, note in at.api.events))
            assert at.status(name).assignment is None
        at.api.remove(AREAS, "west")
        await at.until(lambda: at.status("over").assignment is not None)


async def test_somebody_elses_service_of_the_name_stays_as_it_is() -> None:
    async with scene() as at:

        def theirs(resource: Resource, body: dict[str, Any]) -> None:
            if resource == SERVICES and body["metadata"]["name"] == "west":
                raise ChangedError("somebody else's")

        at.api.fail = theirs
        await at.controller()
        await at.paired()
        await at.until(lambda: at.api.counted()["services"] > 1)


async def test_what_was_deleted_of_an_area_is_made_again() -> None:
    async with scene() as at:
        await at.controller()
        await at.paired()
        await at.until(lambda: (SERVICES.plural, "west") in at.api.objects)
        at.api.remove(SERVICES, "west")
        await at.until(lambda: (SERVICES.plural, "west") in at.api.objects)


async def test_an_idle_world_asks_for_nothing() -> None:
    async with scene(simulators=5, areas=("east", "west")) as at:
        await at.controller()
        await at.paired("east")
        await at.paired("west")
        await at.until(lambda: (BUDGETS.plural, "west") in at.api.objects)
        await quiet(at)
        requests = len(at.api.requests)
        heard = time.monotonic() + 2.2  # statuses come every second
        while time.monotonic() < heard:
            await asyncio.sleep(0.1)
        assert len(at.api.requests) == requests


async def quiet(at: Scene) -> None:
    """Until nothing was asked for longer than papers wait."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 0.7:
        if len(at.api.requests) != last:
            last, since = len(at.api.requests), time.monotonic()
        await asyncio.sleep(0.02)
