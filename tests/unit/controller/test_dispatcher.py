"""A failing request is reported while it is repeated, and forgotten afterwards."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import cast

import msgspec
import pytest

from pairsim.client import ProcessClient
from pairsim.model.authority import Authority
from pairsim.model.status import SimulatorPhase, SimulatorState
from pairsim_controller.plan.view import GrantAuthority, ObservedProcess, Release
from pairsim_controller.reconcile.dispatcher import GRANTS_AT_ONCE, Dispatcher
from tests.unit.controller.builders import dead, process, replica, silent, spare
from tests.unit.controller.local_worlds import local_world, until

COMPILING = SimulatorState("west", SimulatorPhase.COMPILING, 12.0)
STUCK = SimulatorState("west", SimulatorPhase.STUCK, 12.0, "tick 7")


async def test_a_repeated_failure_is_reported_and_finally_forgotten() -> None:
    async with ProcessClient("http://127.0.0.1:1", token="t", deadline=0.2) as nobody:
        dispatcher = Dispatcher(lambda _name: nobody)

        def failures(now: float) -> list[str]:
            dispatcher.dispatch(Release("sim-1", "west"))
            return [report.message for report in dispatcher.failing("west", now)]

        await until(lambda: failures(time.monotonic()))
        (sentence,) = failures(time.monotonic())
        assert sentence.startswith("the request 'release' to sim-1 failed: no connection")
        await dispatcher.close()
        assert list(dispatcher.failing("west", time.monotonic() + 3600)) == []
        assert list(dispatcher.failing("west", time.monotonic())) == [], "forgotten without a repetition"


async def test_failures_at_a_process_that_starts_or_compiles_are_forgotten() -> None:
    async with ProcessClient("http://127.0.0.1:1", token="t", deadline=0.2) as nobody:
        dispatcher = Dispatcher(lambda _name: nobody)

        def failing(*busy: str) -> bool:
            dispatcher.dispatch(Release("sim-1", "west"))
            return bool(list(dispatcher.failing("west", time.monotonic(), busy)))

        await until(lambda: failing("sim-2"))
        assert not failing("sim-1")
        assert not failing(), "they do not count afterwards either"
        await dispatcher.close()


class SlowClient:
    """Takes grants one after the other, when the test says so."""

    def __init__(self) -> None:
        self.versions: list[int] = []
        self.most = self.now = 0
        self.go_on = asyncio.Event()

    async def authorise(self, authority: Authority) -> None:
        self.versions.append(authority.version)
        self.now += 1
        self.most = max(self.most, self.now)
        await self.go_on.wait()
        self.now -= 1


def grant(area: str, version: int) -> GrantAuthority:
    return GrantAuthority(f"{area}-a", Authority(area=area, version=version, cells=()))


async def test_the_grants_of_a_large_plane_take_turns_and_an_old_one_is_left_out() -> None:
    client = SlowClient()
    dispatcher = Dispatcher(lambda _name: cast("ProcessClient", client))
    areas = [f"area-{n}" for n in range(GRANTS_AT_ONCE + 3)]
    for area in areas:
        dispatcher.dispatch(grant(area, 1))
        dispatcher.dispatch(grant(area, 1))
    await until(lambda: client.now == GRANTS_AT_ONCE)
    for area in areas:
        dispatcher.dispatch(grant(area, 2))
    client.go_on.set()
    await until(lambda: len(client.versions) == GRANTS_AT_ONCE + len(areas))
    await until(lambda: not client.now)
    assert client.versions == [1] * GRANTS_AT_ONCE + [2] * len(areas)
    assert client.most == GRANTS_AT_ONCE
    await dispatcher.close()


@pytest.mark.parametrize(
    ("seen", "busy"),
    [
        (spare("sim-1"), False),
        (process("sim-1", msgspec.structs.replace(replica("sim-1"), simulator=COMPILING)), True),
        (process("sim-1", msgspec.structs.replace(replica("sim-1"), simulator=STUCK)), False),
        (silent("sim-1", 5.0), True),
        (silent("sim-1", 60.0), False),
        (silent("witness-1", 5.0), True),
        (dead("sim-1"), False),
    ],
)
def test_a_process_is_busy_while_it_starts_and_while_it_compiles(seen: ObservedProcess, busy: bool) -> None:
    assert seen.busy_starting is busy


async def test_the_reconciler_knows_which_processes_are_busy(tmp_path: Path) -> None:
    async with local_world(tmp_path) as made:
        busy: list[frozenset[str]] = []
        made.world._dispatcher.failing = lambda _area, _now, names: busy.append(names) or iter(())  # type: ignore[assignment, func-returns-value]
        made.replicas["b"].simulator = SimulatorState("north", SimulatorPhase.COMPILING, 12.0)
        made.replicas["b"].notify(None)
        await until(lambda: busy and busy[-1] == {"b"})
