"""What is counted when."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
import pytest

from pairsim.model.status import Role
from pairsim.replication.measurements import Histogram, ReplicaMeasurements
from pairsim.replication.replica.active_gap import ActiveGap
from pairsim_controller.kube.api.objects import LastTakeover
from pairsim_controller.kube.api.port import ApiError
from pairsim_controller.kube.api.workqueue import WorkQueue
from pairsim_controller.kube.metrics import ControllerMetrics as ControllerMeters
from pairsim_controller.reconcile.area_counts import count_areas
from tests.unit.server.fakes import FakeReplica
from tests.unit.server.http_servers import serve_replica, until

CHANGE = LastTakeover(time="2026-01-01T00:00:00Z", reason="Takeover", duration_ms=1.0, ticks_lost=0, from_="a", to="b")


def value(meters: ControllerMeters, name: str, **labels: str) -> float | None:
    return meters.registry.get_sample_value(name, labels)


def test_a_time_is_counted_below_the_next_bound() -> None:
    taken = Histogram((0.1, 0.2))
    for seconds in (0.05, 0.1, 0.15, 7.0):
        taken.observe(seconds)
    assert taken.counts == [2, 1, 1]
    assert taken.seconds == pytest.approx(7.3)


def test_only_a_first_commit_after_another_term_ends_a_gap() -> None:
    gap = ActiveGap()
    assert gap.commit(1, 10.0) is None, "nobody knows what was before"
    assert gap.commit(1, 10.05) is None
    change = gap.commit(3, 10.08)
    assert change is not None
    assert change == (1, pytest.approx(0.03))
    assert gap.commit(3, 10.13) is None


def test_a_change_is_a_takeover_or_a_switchover_and_never_both() -> None:
    meters = ReplicaMeasurements()
    meters.became_active(0.02, handed=True)
    assert (meters.switchovers, sum(meters.takeovers.counts)) == (1, 0)
    meters.became_active(0.3, handed=False)
    assert (meters.switchovers, sum(meters.takeovers.counts), meters.takeovers.seconds) == (1, 1, 0.3)


@pytest.mark.parametrize(
    ("ready", "redundant", "state"), [(True, True, "redundant"), (True, False, "degraded"), (False, False, "down")]
)
def test_an_area_is_in_one_state(ready: bool, redundant: bool, state: str) -> None:
    taken = count_areas([(ready, redundant)], 2)
    assert {name for name, number in taken.areas.items() if number} == {state}
    assert sum(taken.areas.values()) == 1
    assert taken.spares == 2


async def test_a_queue_tells_what_waits_what_work_took_and_what_failed() -> None:
    meters = ControllerMeters()
    go, failing = asyncio.Event(), True

    async def work(area: str) -> None:
        nonlocal failing
        await go.wait()
        if failing:
            failing = False
            raise ApiError("no answer")

    again = meters.retries.labels(queue="looks")
    queue = WorkQueue(
        meters.timed("looks", work), workers=1, retry_seconds=(0.001, 0.001), on_failure=lambda _a, _e: again.inc()
    )
    meters.track_depth("looks", queue)
    running = asyncio.create_task(queue.run())
    for area in ("west", "east", "north"):
        queue.add(area)
    await until(lambda: value(meters, "pairsim_controller_queue_areas", queue="looks") == 2)
    go.set()
    await until(lambda: value(meters, "pairsim_controller_work_seconds_count", queue="looks") == 4)
    assert value(meters, "pairsim_controller_retries_total", queue="looks") == 1
    assert value(meters, "pairsim_controller_queue_areas", queue="papers") == 0
    queue.add("west")
    meters.reset()
    assert value(meters, "pairsim_controller_queue_areas", queue="looks") == 0, "it is another controller's work"
    running.cancel()


def test_a_change_is_counted_by_its_reason_with_what_was_undone() -> None:
    meters = ControllerMeters()
    meters.count_change(CHANGE)
    meters.count_change(msgspec.structs.replace(CHANGE, reason="Switchover", ticks_lost=2))
    assert value(meters, "pairsim_controller_changes_total", reason="Takeover") == 1
    assert value(meters, "pairsim_controller_changes_total", reason="Switchover") == 1
    assert value(meters, "pairsim_controller_undone_ticks_total") == 2


def test_areas_are_counted_by_who_leads() -> None:
    meters = ControllerMeters()
    assert value(meters, "pairsim_areas", state="down") is None
    meters.area_counts = lambda: count_areas([(False, False)], 0)
    assert value(meters, "pairsim_areas", state="down") == 1
    meters.reset()
    assert value(meters, "pairsim_areas", state="down") is None


async def test_a_spare_names_no_area_and_a_replica_the_one_that_it_has() -> None:
    port = FakeReplica()
    async with serve_replica(port) as url, aiohttp.ClientSession() as http:
        for role, area, labels in (
            (Role.SPARE, "north", ""),
            (Role.ACTIVE, "north", 'area="north"'),
            (Role.PASSIVE, "south", 'area="south"'),
        ):
            port.area = area
            port.become(role)
            async with http.get(f"{url}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            told = {line for line in lines if line.startswith("pairsim_observers")}
            assert told == {f"pairsim_observers{{{labels}}} 0.0" if labels else "pairsim_observers 0.0"}
