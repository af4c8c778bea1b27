"""An active reports which share of its tick rate it keeps, once it has seen some seconds of ticks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairsim.replication.replica.tick_rate_monitor import WINDOW_SECONDS, TickRateMonitor
from tests.simulation.conftest import virtual_time  # noqa: F401 - the fixture puts the clock back
from tests.simulation.world import World
from tests.unit.model.counting import area
from tests.unit.replication.process.processes import assignment, simulator_process


def ran(rate: float, took: float, seconds: float, *, idle: float = 0.0) -> TickRateMonitor:
    """Returns the monitor of an active that ticks at its rate, but at most every `took + idle` seconds."""
    monitor = TickRateMonitor(rate)
    now, tick, every = 0.0, 0, max(1.0 / rate, took + idle)
    while now <= seconds:
        now, tick = now + every, tick + 1
        monitor.observe(now, tick, took * tick)
    return monitor


@pytest.mark.parametrize(
    ("rate", "took", "idle", "share"),
    [
        (20.0, 0.121, 0.0, 0.41),
        (20.0, 0.049, 0.0, 1.0),
        (20.0, 0.001, 0.099, 0.5),
        (1000.0, 0.01, 0.0, 0.1),
        (0.5, 0.1, 0.0, 1.0),
        (0.5, 4.0, 0.0, 0.5),
    ],
)
def test_the_share_of_the_rate_that_is_kept(rate: float, took: float, idle: float, share: float) -> None:
    monitor = ran(rate, took, 200.0, idle=idle)
    assert monitor.share == pytest.approx(share, abs=0.02)
    assert monitor.tick_ms == pytest.approx(1000 * took)


def test_the_first_seconds_are_not_judged() -> None:
    assert ran(20.0, 0.5, 0.9 * WINDOW_SECONDS).share == 1.0


def test_a_standstill_shows_and_is_forgotten_once_the_ticks_continue() -> None:
    monitor = TickRateMonitor(20.0)
    for step in range(1000):
        monitor.observe(step * 0.01, 7, 0.1)
    assert monitor.share == 0.0
    for step in range(1000):
        monitor.observe(10 + step * 0.05, 7 + step, 0.1)
    assert monitor.share == pytest.approx(1.0, abs=0.02)


def test_a_replica_reports_its_share_only_while_it_is_the_active() -> None:
    world = World(3)
    world.run(10.0)
    process = world.active()
    assert process is not None
    assert process.replica is not None
    assert process.replica.active is not None
    assert process.replica.tick_rate_monitor.share > 0.9
    process.replica.active._step *= 2
    world.run(10.0)
    assert process.replica.tick_rate_monitor.share == pytest.approx(0.5, abs=0.05)
    world.halt(process.name)
    world.run(3.0)
    world.resume(process.name)
    world.run(3.0)
    assert process.replica.active is None
    assert process.replica.tick_rate_monitor.share == 1.0


def test_the_status_holds_share_and_duration(tmp_path: Path) -> None:
    with simulator_process(tmp_path) as process:
        process.assign(assignment(process, area()))
        runtime = process._runtime
        assert runtime is not None
        assert (process.status().pace, process.status().tick_ms) == (1.0, 0.0)
        monitor = runtime.node.replica.tick_rate_monitor
        monitor.share, monitor.tick_ms = 0.41379, 120.96
        assert (process.status().pace, process.status().tick_ms) == (0.41, 121.0)
