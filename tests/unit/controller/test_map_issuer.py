"""When the maps of planes are made, written and sent."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable

import msgspec
import pytest

from pairsim.model.authority import PlaneMap
from pairsim.model.status import ReplicaStatus
from pairsim_controller.plan.authority import MapRecord
from pairsim_controller.plan.fleet_index import FleetIndex
from pairsim_controller.plan.view import GrantAuthority, Report, Request
from pairsim_controller.reconcile.map_issuer import REPEAT_SECONDS, MapIssuer
from tests.unit.controller.builders import NOW, assignment, fleet_index, observe, pair, process, replica

FIRST = assignment("sim-1", "sim-2", "witness-1")
SECOND = assignment("sim-2", "sim-3", "witness-1", generation=2, joins=("sim-3",))


class MapRig:
    """The store, the processes and the clock of an issuer, in memory."""

    def __init__(self, index: FleetIndex) -> None:
        self.index, self.now, self.heard = index, 0.0, True
        self.record: MapRecord | None = MapRecord()
        self.written: list[PlaneMap] = []
        self.sent: list[Request] = []
        self.disk_full = False
        self.issuer = MapIssuer(index, store=self, processes=self, clock=lambda: self.now)

    def recorded(self, _plane: str) -> MapRecord | None:
        return self.record

    async def write(self, record: MapRecord, made: PlaneMap) -> None:
        if self.disk_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.record = record
        self.written.append(made)

    def all_heard(self) -> bool:
        return self.heard

    def dispatch(self, request: Request) -> None:
        assert self.record is not None
        assert isinstance(request, GrantAuthority)
        assert request.authority.version == self.record.version, "a grant is sent before its record is written"
        self.sent.append(request)

    def failing(self, area: str, now: float, busy: Collection[str]) -> Iterable[Report]:
        raise NotImplementedError

    async def after(self, seconds: float) -> float | None:
        self.now += seconds
        return await self.issuer.issue("plane")

    def knows(self, version: int) -> None:
        """Makes the active report a version."""
        status = pair(FIRST)[0].status
        assert isinstance(status, ReplicaStatus)
        observe(self.index, process("sim-1", msgspec.structs.replace(status, version=version)), NOW)


@pytest.fixture
def rig() -> MapRig:
    return MapRig(fleet_index(*pair(FIRST), process("sim-3", replica("sim-3")), recorded=(FIRST,)))


async def test_a_map_is_written_and_then_granted_until_the_active_knows_it(rig: MapRig) -> None:
    assert await rig.after(0.0) == pytest.approx(0.2)
    assert (rig.written, rig.sent) == ([], [])
    assert await rig.after(0.2) == REPEAT_SECONDS
    assert [made.version for made in rig.written] == [1]
    assert await rig.after(REPEAT_SECONDS) == REPEAT_SECONDS
    assert [(request.target, request.authority.version) for request in rig.sent] == [("sim-1", 1)] * 2  # type: ignore[union-attr]
    rig.knows(1)
    assert await rig.after(REPEAT_SECONDS) is None
    assert (len(rig.written), len(rig.sent)) == (1, 2)
    assert rig.issuer.world_map().planes == tuple(rig.written)


async def test_changes_that_follow_each_other_are_one_version(rig: MapRig) -> None:
    await rig.after(0.0)
    rig.index.set_record("west", SECOND)
    assert await rig.after(0.1) == pytest.approx(0.1)
    await rig.after(0.1)
    assert [[m.replica for m in made.cells[0].replicas] for made in rig.written] == [["sim-2", "sim-3"]]


async def test_a_version_waits_for_the_one_before(rig: MapRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairsim_controller.reconcile.map_issuer.pause_seconds", lambda _planned: 6.0)
    await rig.after(0.0)
    await rig.after(0.2)
    rig.index.set_record("west", SECOND)
    assert await rig.after(1.0) == pytest.approx(5.0)
    await rig.after(5.0)
    assert [made.version for made in rig.written] == [1, 2]


async def test_a_change_that_is_taken_back_makes_no_version(rig: MapRig) -> None:
    await rig.after(0.0)
    await rig.after(0.2)
    rig.index.set_record("west", SECOND)
    await rig.after(1.0)
    rig.index.set_record("west", FIRST)
    await rig.after(0.1)
    rig.index.set_record("west", SECOND)
    assert await rig.after(1.0) == pytest.approx(0.2), "it begins anew"
    assert len(rig.written) == 1


async def test_nothing_is_granted_while_the_record_cannot_be_written(rig: MapRig) -> None:
    rig.disk_full = True
    await rig.after(0.0)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            await rig.after(0.2)
    assert rig.sent == []
    assert rig.issuer.world_map().planes == ()
    rig.disk_full = False
    await rig.after(0.2)
    assert len(rig.sent) == 1


async def test_a_controller_that_starts_anew_goes_on_with_the_version(rig: MapRig) -> None:
    await rig.after(0.0)
    await rig.after(0.2)
    rig.issuer = MapIssuer(rig.index, store=rig, processes=rig, clock=lambda: rig.now)
    rig.sent.clear()
    assert await rig.after(1.0) == REPEAT_SECONDS
    assert len(rig.written) == 1
    assert rig.sent[0].authority.version == 1  # type: ignore[union-attr]
    assert rig.issuer.world_map().planes == tuple(rig.written)


async def test_the_first_version_waits_until_every_process_was_heard(rig: MapRig) -> None:
    rig.heard = False
    assert await rig.after(1.0) == REPEAT_SECONDS
    assert await rig.after(1.0) == REPEAT_SECONDS
    rig.heard = True
    rig.knows(5)
    await rig.after(1.0)
    await rig.after(0.2)
    assert [made.version for made in rig.written] == [6]


async def test_a_plane_that_is_gone_has_no_map_any_more(rig: MapRig) -> None:
    await rig.after(0.0)
    await rig.after(0.2)
    rig.record = None
    assert await rig.after(1.0) is None
    assert rig.issuer.world_map().planes == ()
