"""A local world: its records, its requests, and the sentences for its user."""

from __future__ import annotations

import errno
import math
import re
from pathlib import Path

import msgspec
import pytest

from pairsim.model.assignment import Assignment
from pairsim.model.geometry import Box
from pairsim.model.status import Role, Succession
from pairsim_controller.local.world import RECHECK_SECONDS
from pairsim_controller.plan.authority import MapRecord
from pairsim_controller.timestamps import time_of_day
from tests.unit.controller.local_worlds import NORTH, WorldHarness, group, local_world, until


def orders(made: WorldHarness) -> list[Assignment]:
    given = [order for replica in made.replicas.values() for order in replica.orders]
    return [order for order in [*given, *made.witness.orders] if isinstance(order, Assignment)]


async def test_an_area_is_created_with_two_spares_and_a_witness(tmp_path: Path) -> None:
    async with local_world(tmp_path, working=False) as made:
        await until(lambda: len(orders(made)) >= 3)
        recorded = made.folder.assignments()["north"]
        assert set(map(repr, orders(made))) == {repr(recorded)}
        assert recorded.spec == NORTH
        assert made.announced[0] == "north: founded with a and b, witness w"


async def test_no_request_is_sent_while_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with local_world(tmp_path, working=False) as made:
        full = True
        write = made.folder.write_assignments

        def record(recorded: dict[str, Assignment]) -> None:
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(recorded)

        monkeypatch.setattr(made.folder, "write_assignments", record)
        monkeypatch.setattr("pairsim_controller.reconcile.warning_debouncer.REPORT_AFTER_SECONDS", 0.0)
        made.world._reports.warnings._start_at = 0.0
        await made.known()
        sentence = (
            f"world: cannot write {tmp_path}: No space left on device; no change is made until the disk can be written"
        )
        await until(lambda: sentence in made.announced)
        assert orders(made) == []
        assert made.world.recorded == {}
        full = False
        await until(lambda: len(orders(made)) >= 3)
        assert made.announced.count(sentence) == 1


async def test_the_active_knows_the_map_of_its_plane(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        active = made.replicas["a"]
        await until(lambda: active.known_map.version)
        (cell,) = active.known_map.cells
        assert (cell.number, cell.area, cell.bounds) == (1, "north", NORTH.bounds)
        assert {member.url for member in cell.replicas} == {made.places["a"].url, made.places["b"].url}
        assert made.folder.maps()["physics"].version == active.known_map.version
        assert made.world.maps.planes[0].cells == active.known_map.cells


async def test_a_full_disk_keeps_a_map_from_the_areas_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with local_world(tmp_path) as made:
        full = True
        write = made.folder.write_maps

        def record(records: dict[str, MapRecord]) -> None:
            if full:
                raise OSError(errno.ENOSPC, "No space left on device")
            write(records)

        monkeypatch.setattr(made.folder, "write_maps", record)
        monkeypatch.setattr("pairsim_controller.reconcile.warning_debouncer.REPORT_AFTER_SECONDS", 0.0)
        made.world._reports.warnings._start_at = 0.0
        await made.known()
        sentence = (
            f"world: cannot write {tmp_path}: No space left on device; no change is made until the disk can be written"
        )
        await until(lambda: sentence in made.announced)
        assert made.replicas["a"].known_map.version == 0
        full = False
        await until(lambda: made.replicas["a"].known_map.version)
        assert made.announced.count(sentence) == 1


async def test_a_place_without_an_area_is_told_once(tmp_path: Path) -> None:
    wide = msgspec.structs.replace(NORTH, world=Box((0.0, 0.0, 0.0), (2.0, 1.0, 1.0)))
    async with local_world(tmp_path, areas=(wide,), working=False) as made:
        told = "plane physics: no area has x in [1, 2); what moves there stays with the area that it comes from"
        await until(lambda: told in made.announced)
        await until(lambda: len(orders(made)) >= 3)
        await until(lambda: made.world.maps.planes[0].cells[0].replicas)
        version = made.world.maps.planes[0].version
        made.places["a"].peer = "127.0.0.1:9"
        await until(lambda: made.world.maps.planes[0].version > version)
        assert made.announced.count(told) == 1


REDUNDANT = re.compile(r"north: redundant( again)? after \d+\.\d\d s: a \(active\) and b \(passive\), 0 entities")


async def test_a_takeover_is_announced_with_replica_cause_term_and_tick(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        await until(lambda: len(made.announced) >= 2)
        assert made.announced[0] == "north: a is active, in term 1 at tick 10"
        assert REDUNDANT.fullmatch(made.announced[1])
        made.replicas["b"].tick, made.replicas["b"].succession = 77, Succession.SILENT
        made.replicas["a"].become(Role.PASSIVE, term=2)
        made.replicas["b"].become(Role.ACTIVE, term=2)
        await until(lambda: len(made.announced) >= 4)
        assert made.announced[2] == "north: b is active in place of a (nothing was heard of it), in term 2 at tick 77"
        assert re.fullmatch(r"north: redundant.*: b \(active\) and a \(passive\), 0 entities", made.announced[3])
        assert made.world.labels["b"].role is Role.ACTIVE
        assert made.world.labels["a"].role is Role.PASSIVE


async def test_a_new_term_of_the_same_active_is_not_announced_as_a_takeover(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        await until(lambda: len(made.announced) >= 2)
        made.replicas["a"].become(Role.ACTIVE, term=2)
        await until(lambda: len(made.announced) >= 3)
        assert made.announced[2:] == [
            "north: a stays active, in term 2 at tick 10: it was elected again; the cause is unknown"
        ]


async def test_a_time_without_an_active_is_announced_when_it_is_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pairsim_controller.story.active_tracker.STANDSTILL_SECONDS", 0.1)
    async with local_world(tmp_path) as made:
        await until(lambda: len(made.announced) >= 2)
        made.replicas["a"].become(Role.PASSIVE)
        await until(lambda: any("no active for 0 s: a is passive, and no replica" in told for told in made.announced))
        made.replicas["a"].become(Role.ACTIVE, term=2)
        await until(lambda: any(re.search(r"active again after \d+\.\d\d s.*: a$", told) for told in made.announced))


async def test_an_active_of_an_old_term_is_not_announced(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        await until(lambda: made.announced)
        made.replicas["b"].become(Role.ACTIVE, term=5)
        await until(lambda: any("b is active in place of a" in told for told in made.announced))
        made.replicas["a"].become(Role.ACTIVE, term=4)
        await until(lambda: (status := made.world.watchers["a"].status) is not None and status.term == 4)  # type: ignore[union-attr]
        assert [sentence for sentence in made.announced if "a is active" in sentence] == made.announced[:1]
        assert made.world.find_replica("north", "active") == "b"


async def test_a_repeated_failure_of_a_request_is_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairsim_controller.reconcile.warning_debouncer.REPORT_AFTER_SECONDS", 0.0)
    monkeypatch.setattr("pairsim_controller.reconcile.dispatcher._RETRY_SECONDS", 0.01)
    async with local_world(tmp_path, working=False) as made:
        made.replicas["a"].refuse = RuntimeError("the simulator is broken")
        made.world._reports.warnings._start_at = 0.0
        await until(lambda: any("the request 'assign' to a failed" in sentence for sentence in made.announced))


async def test_a_replica_is_found_by_role(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        await made.known()
        roles = {role: made.world.find_replica("north", role) for role in ("active", "passive", "witness", "joining")}
        assert roles == {"active": "a", "passive": "b", "witness": "w", "joining": None}
        assert made.world.find_replica("south", "active") is None
        assert made.world.find_replica("south", "witness") is None


async def test_a_witness_that_lost_its_folder_receives_the_area_again(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        await made.known()
        assert made.witness.orders == []
        made.witness.become()
        await until(lambda: made.witness.orders)
        assert made.witness.orders[0] == made.folder.assignments()["north"]
        made.witness.become(group())


async def test_an_unwanted_area_is_released_and_forgotten(tmp_path: Path) -> None:
    async with local_world(tmp_path, areas=()) as made:
        await until(lambda: made.replicas["a"].orders and made.replicas["b"].orders and made.witness.orders)
        assert made.replicas["a"].orders[0] == made.witness.orders[0] == "north"
        for replica in made.replicas.values():
            replica.become(Role.SPARE)
        made.witness.become()
        await until(lambda: made.folder.assignments() == {})
        assert made.announced[-1] == "north: no process holds it any more"
        await until(lambda: made.world._index.areas() == set())
        assert made.world._pause_seconds(math.inf) == RECHECK_SECONDS


def test_announcements_have_the_time_of_day() -> None:
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", time_of_day(0.0))


async def test_an_unwanted_area_is_backed_up_before_it_is_released(tmp_path: Path) -> None:
    async with local_world(tmp_path, areas=()) as made:
        await until(lambda: "north" in made.witness.orders)
        (kept,) = (tmp_path / "backups").iterdir()
        assert kept.name.endswith("-tick-10.jsonl.gz")
        assert made.announced[-1] == f"north: its last state is kept in {kept}"
        assert made.folder.backup_files() == {"north": kept.name}


async def test_no_member_is_released_while_the_backup_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backups").touch()
    monkeypatch.setattr("pairsim_controller.reconcile.warning_debouncer.REPORT_AFTER_SECONDS", 0.0)
    async with local_world(tmp_path, areas=()) as made:
        made.world._reports.warnings._start_at = 0.0
        await until(
            lambda: any("the request 'backup' to a failed: cannot write into" in told for told in made.announced)
        )
        assert made.witness.orders == []
        (tmp_path / "backups").unlink()
        await until(lambda: "north" in made.witness.orders)


async def test_an_area_is_not_backed_up_again_after_a_restart(tmp_path: Path) -> None:
    async with local_world(tmp_path, areas=()) as made:
        await until(made.folder.backup_files)
        await made.close()
        made.run()
        made.witness.orders.clear()
        await until(lambda: "north" in made.witness.orders)
        assert len(list((tmp_path / "backups").iterdir())) == 1


async def test_each_divergence_of_a_step_is_announced_once(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        await until(lambda: made.announced)
        slipping = made.replicas["b"]
        for number in (1, 2):
            slipping.divergences = number
            slipping.notify(None)
            await until(lambda number=number: sum("not deterministic" in told for told in made.announced) == number)
        assert "north: b came to another state than the active a" in made.announced[-1]
