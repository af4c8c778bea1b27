"""Areas in a cluster: their deletion and backup, the objects that they own, and the spares that they share."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from pairsim_controller.kube.api.port import (
    AREAS,
    BUDGETS,
    PODS,
    SERVICES,
    ChangedError,
    Resource,
)
from tests.unit.controller.cluster_harness import ClusterHarness, cluster_harness


async def test_a_deleted_area_vanishes_when_all_members_are_released() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        cluster.api.remove(AREAS, "west")
        await cluster.until(lambda: (AREAS.plural, "west") not in cluster.api.objects)
        assert all(not fake.has for fake in cluster.replicas.fakes.values())
        await cluster.until(lambda: [now[0] for now in cluster.api.labels[-1].values()] == ["spare"] * 3)


def kept_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_the_active_of_a_deleted_area_is_backed_up_first(tmp_path: Path) -> None:
    async with cluster_harness() as cluster:
        await cluster.controller(tmp_path)
        await cluster.paired()
        cluster.api.remove(AREAS, "west")
        await cluster.until(lambda: (AREAS.plural, "west") not in cluster.api.objects)
        (kept,) = kept_in(tmp_path)
        assert (kept.read_bytes(), kept.name.endswith("-tick-5.jsonl.gz")) == (b"all of it", True)
        assert ("west", "BackedUp", f"its last state is kept in {kept.name}") in cluster.api.events
        assert [what for what, _area in cluster.replicas.fakes["sim-1"].orders] == ["assign", "backup", "release"]
        assert "backup" not in [what for what, _area in cluster.replicas.fakes["sim-2"].orders]


async def test_a_failed_backup_blocks_the_deletion_until_the_user_skips_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with cluster_harness() as cluster:
        await cluster.controller(tmp_path / "file")
        await cluster.paired()
        cluster.api.remove(AREAS, "west")
        await cluster.until(lambda: any("cannot write into" in note for _a, _reason, note in cluster.api.events))
        assert cluster.roles("west") == {"sim-1": "active", "sim-2": "passive"}
        skipped = cluster.api.get(AREAS, "west")
        skipped["metadata"]["annotations"] = {"pairsim.io/backup": "skip"}
        cluster.api.put(AREAS, skipped)
        await cluster.until(lambda: (AREAS.plural, "west") not in cluster.api.objects)


async def test_the_next_controller_does_not_back_up_again(tmp_path: Path) -> None:
    async with cluster_harness() as cluster:
        first = await cluster.controller(tmp_path)
        await cluster.paired()
        cluster.replicas.hang("sim-2")  # its release is not answered
        cluster.api.remove(AREAS, "west")
        await cluster.until(lambda: not cluster.replicas.fakes["sim-1"].has)
        await first.stop()
        await cluster.controller(tmp_path)
        cluster.replicas.hang("sim-2", False)
        await cluster.until(lambda: (AREAS.plural, "west") not in cluster.api.objects)
        assert len(kept_in(tmp_path)) == 1


async def test_a_deletion_waits_for_a_member_that_cannot_be_reached() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        cluster.replicas.hang("sim-2")
        cluster.api.remove(AREAS, "west")
        await cluster.until(lambda: not cluster.replicas.fakes["sim-1"].has)
        assert cluster.api.get(AREAS, "west")["metadata"]["deletionTimestamp"]
        cluster.replicas.hang("sim-2", False)
        await cluster.replicas.fakes["sim-2"].stop()
        cluster.api.remove(PODS, "sim-2")
        await cluster.until(lambda: (AREAS.plural, "west") not in cluster.api.objects)


async def test_two_areas_never_get_the_same_spare() -> None:
    async with cluster_harness(simulators=5, areas=("east", "west")) as cluster:
        await cluster.controller()
        await cluster.paired("east")
        await cluster.paired("west")
        lost = [cluster.status(area).active for area in ("east", "west")]
        await asyncio.gather(*(cluster.lose(name) for name in lost))
        await cluster.until(lambda: sorted(len(cluster.roles(area)) for area in ("east", "west")) == [1, 2])
        await cluster.until(lambda: "Waiting" in {reason for _a, reason, _n in cluster.api.events})
        waits = next(
            a for a, reason, note in cluster.api.events if reason == "Waiting" and "no spare is available" in note
        )
        await cluster.pod("sim-9")
        await cluster.paired(waits)


async def test_invalid_areas_are_reported_and_not_created() -> None:
    async with cluster_harness(simulators=6) as cluster:
        await cluster.controller()
        await cluster.paired()
        cluster.area("over", 0)
        cluster.area("lost", 5, plane="nowhere")
        cluster.area("wide", 7, bounds={"min": [0, 0, 0], "max": [2000, 1, 1]})
        for name, words in (
            ("over", "overlap those of area west"),
            ("lost", "plane nowhere"),
            ("wide", "reach beyond"),
        ):
            await cluster.until(lambda n=name, w=words: any(a == n and w in note for a, _r, note in cluster.api.events))
            assert cluster.status(name).assignment is None
        cluster.api.remove(AREAS, "west")
        await cluster.until(lambda: cluster.status("over").assignment is not None)


async def test_a_service_of_another_owner_stays_as_it_is() -> None:
    async with cluster_harness() as cluster:

        def theirs(resource: Resource, body: dict[str, Any]) -> None:
            if resource == SERVICES and body["metadata"]["name"] == "west":
                raise ChangedError("somebody else's")

        cluster.api.fail = theirs
        await cluster.controller()
        await cluster.paired()
        await cluster.until(lambda: cluster.api.counted()["services"] > 1)


async def test_a_deleted_service_is_created_again() -> None:
    async with cluster_harness() as cluster:
        await cluster.controller()
        await cluster.paired()
        await cluster.until(lambda: (SERVICES.plural, "west") in cluster.api.objects)
        cluster.api.remove(SERVICES, "west")
        await cluster.until(lambda: (SERVICES.plural, "west") in cluster.api.objects)


async def test_an_idle_world_asks_for_nothing() -> None:
    async with cluster_harness(simulators=5, areas=("east", "west")) as cluster:
        await cluster.controller()
        await cluster.paired("east")
        await cluster.paired("west")
        await cluster.until(lambda: (BUDGETS.plural, "west") in cluster.api.objects)
        await quiet(cluster)
        requests = len(cluster.api.requests)
        heard = time.monotonic() + 2.2  # statuses come every second
        while time.monotonic() < heard:
            await asyncio.sleep(0.1)
        assert len(cluster.api.requests) == requests


async def quiet(cluster: ClusterHarness) -> None:
    """Until nothing was asked for longer than papers wait."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 0.7:
        if len(cluster.api.requests) != last:
            last, since = len(cluster.api.requests), time.monotonic()
        await asyncio.sleep(0.02)
