"""Spares keep engines ready if a plane says so, and none otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pairsim.model.status import Role, SimulatorPhase, SimulatorState
from pairsim_controller.local.world import LocalWorld
from pairsim_controller.plan.fleet_index import NO_AREA, DesiredArea, FleetIndex
from pairsim_controller.plan.view import KeepWarmEngine, ObservedProcess, Report, Request
from pairsim_controller.reconcile.reconciler import Reconciler
from tests.unit.controller.builders import assignment, observe, process, replica, spare, spec
from tests.unit.controller.local_worlds import local_world, until
from tests.unit.controller.reconciler_rigs import QuietReporter

WANTED = DesiredArea(spec("west"), warm_engines=True)


def with_engine(name: str) -> ObservedProcess:
    return process(name, msgspec.structs.replace(replica(name), engine_pid=77))


def index(*processes: ObservedProcess) -> FleetIndex:
    made = FleetIndex(lambda _area: None)
    for seen in processes:
        observe(made, seen)
    return made


def test_spares_are_asked_to_keep_an_engine_if_an_area_wants_it() -> None:
    world = index(spare("sim-1"), with_engine("sim-2"))
    assert world.warm_engine_requests() == (KeepWarmEngine("sim-2", keep=False),)
    world.set_desired("east", DesiredArea(spec("east")))
    world.set_desired("west", WANTED)
    assert world.warm_engine_requests() == (KeepWarmEngine("sim-1", keep=True),)
    world.set_desired("west", DesiredArea(spec("west")))
    assert world.warm_engine_requests() == (KeepWarmEngine("sim-2", keep=False),)
    world.set_desired("west", WANTED)
    world.set_desired("west", None)
    assert world.warm_engine_requests() == (KeepWarmEngine("sim-2", keep=False),)


def refused(name: str) -> ObservedProcess:
    state = SimulatorState("west", SimulatorPhase.REFUSED, 1.0, "a module is missing")
    return process(name, msgspec.structs.replace(replica(name), simulator=state))


@pytest.mark.parametrize(
    "seen",
    [
        process("sim-1", None),
        process("sim-1", msgspec.structs.replace(replica("sim-1"), leaving=True)),
        process("sim-1", replica("sim-1", assignment("sim-1", "sim-2", "witness-1"), Role.PASSIVE)),
        refused("sim-1"),
    ],
)
def test_a_process_that_has_other_work_is_not_asked(seen: ObservedProcess) -> None:
    world = index(seen)
    world.set_desired("west", WANTED)
    assert world.warm_engine_requests() == ()


def test_a_spare_that_is_promised_to_an_area_is_not_asked() -> None:
    world = index(spare("sim-1"))
    world.set_desired("west", WANTED)
    world.set_record("west", assignment("sim-1", "sim-2", "witness-1"))
    assert world.warm_engine_requests() == ()


def test_each_status_of_a_spare_that_is_not_as_it_should_be_is_a_reason_for_a_round() -> None:
    touched: list[str] = []
    world = FleetIndex(touched.append)
    world.set_desired("west", WANTED)
    observe(world, spare("sim-1"))
    touched.clear()
    observe(world, spare("sim-1"))
    assert NO_AREA in touched
    observe(world, with_engine("sim-1"))
    touched.clear()
    observe(world, with_engine("sim-1"))
    assert touched == []


def test_a_status_that_was_taken_in_is_no_reason_for_another_round() -> None:
    touched: list[str] = []
    world = FleetIndex(touched.append)
    world.set_desired("west", WANTED)
    seen = spare("sim-1")
    observe(world, seen)
    touched.clear()
    world.on_status("sim-1", seen.status, 5.0)
    assert touched == []


async def test_a_world_pauses_between_rounds_while_a_spare_has_no_engine_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[float] = []
    observe_processes = LocalWorld._observe_processes

    def counted(world: LocalWorld, now: float) -> None:
        rounds.append(now)
        if len(rounds) > 10_000:
            raise asyncio.CancelledError  # a loop that never pauses would keep every deadline from this test
        observe_processes(world, now)

    monkeypatch.setattr(LocalWorld, "_observe_processes", counted)
    async with local_world(tmp_path, working=False, warm_engines=True) as made:
        await until(lambda: made.announced or made.task.done())
        asked = made.replicas["c"].orders
        await until(lambda: asked or made.task.done())
        assert not made.task.done()
        assert len(rounds) < 1_000


class Gateway:
    """Keeps the requests that were sent."""

    def __init__(self) -> None:
        self.sent: list[Request] = []

    def all_heard(self) -> bool:
        return True

    def dispatch(self, request: Request) -> None:
        self.sent.append(request)

    def failing(self, area: str, now: float, busy: Collection[str]) -> Iterable[Report]:
        return ()


class Labels:
    async def apply(self, change: object) -> None:
        pass


async def test_the_requests_are_sent() -> None:
    world = index(spare("sim-1"))
    world.set_desired("west", WANTED)
    unused: Any = None
    gateway = Gateway()
    made = Reconciler(world, records=unused, labels=Labels(), processes=gateway, reports=QuietReporter())
    await made.reconcile(NO_AREA)
    assert gateway.sent == [KeepWarmEngine("sim-1", keep=True)]
