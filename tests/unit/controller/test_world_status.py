"""The status of a world, as `pairsim status` shows it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pairsim.model.crossings.border_status import BorderStatus, Mark, NeighbourStatus
from pairsim.model.status import Role
from pairsim.model.world_status import AreaStatusView, WorldStatus
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.local.process_pool import ProcessPool
from pairsim_controller.local.status_watchers import StatusWatchers
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.local.world_status import world_status
from pairsim_controller.plan.view import Kind
from pairsim_controller.reconcile.world_status import (
    MemberStatus,
    ObservedStatus,
    area_status_view,
    lag_ticks,
    world_status_of,
)
from pairsim_controller.story.history import History
from tests.unit.controller.builders import assignment, replica, witness
from tests.unit.controller.local_worlds import FakeLocalProcess, group, local_world, until

RATE = 20.0
PAIR = assignment("sim-1", "sim-2", "witness-1")
NEXT = assignment("sim-1", "sim-2", "witness-1", generation=2)
ACTIVE = replica("sim-1", PAIR, Role.ACTIVE, peer_in_sync=True)
PASSIVE = replica("sim-2", PAIR, Role.PASSIVE)
WITNESS = witness("witness-1", PAIR)


def heard(tick: int, synced: int, at: float) -> MemberStatus:
    return MemberStatus(msgspec.structs.replace(PASSIVE, tick=tick, synced_tick=synced), at)


# --- lag


def test_a_state_at_the_newest_committed_tick_has_no_lag() -> None:
    assert lag_ticks(heard(100, 100, 7.0), [], RATE) == 0


def test_a_state_behind_the_committed_tick_lags() -> None:
    assert lag_ticks(heard(100, 93, 7.0), [], RATE) == 7


def test_a_later_status_of_the_peer_does_not_count_as_lag() -> None:
    early, late = heard(100, 100, 7.0), heard(110, 110, 7.5)
    assert lag_ticks(early, [early, late], RATE) == 0
    assert lag_ticks(late, [early, late], RATE) == 0


def test_the_lag_of_a_cut_off_replica_comes_from_its_peer() -> None:
    cut_off, active = heard(100, 100, 7.4), heard(150, 150, 7.5)
    assert lag_ticks(cut_off, [cut_off, active], RATE) == 48
    assert lag_ticks(cut_off, [active], RATE) == 48


def test_an_earlier_status_of_the_peer_counts_in_full() -> None:
    behind, active = heard(100, 100, 8.0), heard(150, 150, 7.5)
    assert lag_ticks(behind, [active], RATE) == 50


def test_an_invalid_state_lags_by_every_tick() -> None:
    assert lag_ticks(heard(100, 0, 7.0), [], RATE) == 100


@given(
    true_lag=st.integers(0, 500), tick=st.integers(1000, 2000), one_at=st.floats(0, 3), other_at=st.floats(0, 3),
    knows=st.integers(0, 500),
)  # fmt: skip
def test_the_lag_is_never_exaggerated(true_lag: int, tick: int, one_at: float, other_at: float, knows: int) -> None:
    """Both replicas follow a world that runs at its rate; neither knows uncommitted ticks."""
    newest = tick + int(one_at * RATE)
    one = heard(max(newest - knows, newest - true_lag), newest - true_lag, one_at)
    other = heard(tick + int(other_at * RATE), 0, other_at)
    assert 0 <= lag_ticks(one, [one, other], RATE) <= true_lag


# --- the whole


async def test_the_status_of_a_running_world(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        await made.known()
        made.replicas["b"].lag = 3
        made.replicas["b"].become(Role.PASSIVE, term=1)
        await until(lambda: world_status(made.world).areas[0].redundant)
        now = world_status(made.world)
        area = now.areas[0]
        assert [(r.replica, r.role) for r in area.replicas] == [("a", "active"), ("b", "passive")]
        assert (area.area, area.generation, area.missing) == ("north", 1, "")
        assert area.witness.url == made.places["w"].url
        assert [spare.url for spare in now.spares] == [made.places["c"].url]
        assert msgspec.json.decode(msgspec.json.encode(now), type=WorldStatus) == now


def test_an_area_with_an_unseen_member_is_not_redundant() -> None:
    """The active may know more, but a status that shows one replica and says redundant would confuse its reader."""
    said = {
        name: ObservedStatus(status, 0.0)
        for name, status in (("sim-1", ACTIVE), ("sim-2", PASSIVE), ("witness-1", WITNESS))
    }
    assert area_status_view(PAIR.spec, PAIR, said, {}).missing == ""
    assert area_status_view(PAIR.spec, PAIR, said, {}).redundant
    said["sim-2"] = ObservedStatus(msgspec.structs.replace(PASSIVE, role=Role.JOINING), 0.0)
    late = area_status_view(PAIR.spec, PAIR, said, {})
    assert (late.redundant, late.missing) == (False, "sim-2 is joining"), "the active says first that it is in sync"
    said["sim-2"] = ObservedStatus(msgspec.structs.replace(ACTIVE, replica="sim-2", term=0), 0.0)
    assert area_status_view(PAIR.spec, PAIR, said, {}).missing == "sim-2 does not know yet that sim-1 is active"
    said["sim-2"] = ObservedStatus(replica("sim-2"), 0.0)
    assert area_status_view(PAIR.spec, PAIR, said, {}).missing == "sim-2 has not joined yet"
    del said["sim-2"]
    seen = area_status_view(PAIR.spec, PAIR, said, {})
    assert (seen.redundant, seen.missing) == (False, "sim-2 cannot be reached")


def test_a_world_shows_the_balance_of_each_plane_in_place_of_marks() -> None:
    def of(area: str, plane: str, *marks: Mark) -> AreaStatusView:
        borders = BorderStatus(sent=7, clock=99, exchanged=90, marks=marks, neighbours=(NeighbourStatus(number=2),))
        active = msgspec.structs.replace(ACTIVE, borders=borders, number=3, version=8)
        seen = area_status_view(PAIR.spec, PAIR, {"sim-1": ObservedStatus(active, 0.0)}, {})
        return msgspec.structs.replace(seen, area=area, plane=plane)

    marks = Mark(32, 9, 0, 8, 2), Mark(64, 9, 1, 8, 0)
    world = world_status_of([of("a", "one", *marks), of("b", "one", *marks[:1]), of("c", "two", *marks)], [])
    assert [(b.plane, b.born, b.present, b.on_their_way) for b in world.balances] == [
        ("one", 18, 16, 2),
        ("two", 9, 8, 0),
    ]
    assert all(area.borders is not None and not area.borders.marks for area in world.areas)
    assert (world.areas[0].number, world.areas[0].version) == (3, 8)


async def test_an_area_without_its_witness_is_not_redundant(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        await made.known()
        await until(lambda: world_status(made.world).areas[0].redundant)
        made.witness.become()
        await until(lambda: not world_status(made.world).areas[0].redundant)
        assert world_status(made.world).areas[0].missing == "w, its witness, has not joined yet"
        made.witness.become(group())
        await until(lambda: world_status(made.world).areas[0].redundant)


async def test_the_status_contains_an_area_without_members(tmp_path: Path) -> None:
    async with local_world(tmp_path, working=False) as made:
        area = world_status(made.world).areas[0]
        assert (area.redundant, area.replicas, area.generation, area.witness.pid) == (False, [], 0, None)


def test_a_member_that_starts_or_has_failed_is_not_only_out_of_reach(tmp_path: Path) -> None:
    process, watcher = FakeLocalProcess("b", Kind.SIMULATOR, 7), SimpleNamespace(status=PASSIVE)
    world = LocalWorld(
        (), cast("ProcessPool", SimpleNamespace(processes={"b": process})), DataFolder(tmp_path), History()
    )
    world.watchers = cast("StatusWatchers", {"b": watcher})
    assert world.note("b") == world.note("nobody") == ""
    process.pid, process.uptime, watcher.status = None, 0.0, None
    process.failure = "ended with exit code 70 (step raised)"
    assert world.note("b") == process.failure
    process.pid, process.restarts, process.uptime = 8, 1, 60.0
    assert world.note("b") == process.failure, "it has not answered since its start, however long that takes"
    watcher.status, process.uptime = PASSIVE, 0.5
    assert world.note("b") == process.failure, "it has not worked for long since then"
    process.uptime = 60.0
    assert world.note("b") == ""
    process.restarts, process.failure, watcher.status = 2, "", None
    assert world.note("b") == "is starting"
    watcher.status = PASSIVE
    assert world.note("b") == ""
    watcher.status = None
    assert world.note("b") == "", "it has answered, and does so no more"
