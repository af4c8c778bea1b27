"""The newest tick that anybody can have seen of a replica is on record before it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pairsim.engine.in_process import InProcessEngine
from pairsim.model.commands import Command
from pairsim.model.state.table import Table
from pairsim.replication.replica.active import MAX_AHEAD
from tests.simulation.area import SPEC, Counters
from tests.unit.replication.replica.replicas import NOW, LoneReplica

STEP = 1.0 / SPEC.tick_rate


class InterruptedEngine(InProcessEngine):
    """An engine during whose calls something happens."""

    during: Callable[[], None] = staticmethod(lambda: None)

    def advance(self, table: Table, commands: Sequence[Command], tick: int) -> dict[int, str]:
        rejected = super().advance(table, commands, tick)
        self.during()
        return rejected


@pytest.fixture
def engine() -> InterruptedEngine:
    return InterruptedEngine(Counters(SPEC), SPEC)


@pytest.fixture
def lone(engine: InterruptedEngine) -> LoneReplica:
    return LoneReplica(engine=engine)


def test_a_tick_counts_as_shown_once_it_is_computed_and_committed(lone: LoneReplica) -> None:
    lone.lead()
    for number in range(1, MAX_AHEAD + 1):
        lone.replica.run_once(NOW + number * STEP)
    assert (lone.state.tick, lone.disk.shown) == (MAX_AHEAD, 0)
    assert lone.replica.shown.report() == (1, MAX_AHEAD), "it may still be committed"
    lone.commit(2)
    assert lone.disk.shown == 2


def test_a_tick_counts_as_shown_before_a_reader_can_see_its_commit(lone: LoneReplica) -> None:
    lone.lead()
    lone.replica.run_once(NOW + STEP)
    seen: list[tuple[int, int]] = []
    store = lone.disk.show

    def show(tick: int) -> None:
        seen.append((tick, lone.log.tick))
        store(tick)

    lone.disk.show = show  # type: ignore[method-assign]
    lone.commit()
    assert seen == [(1, 0)]


def test_the_ticks_of_a_lost_leadership_do_not_count_as_shown(lone: LoneReplica) -> None:
    lone.lead()
    lone.replica.run_once(NOW + STEP)
    lone.replica.on_leadership_lost()
    lone.open(2)
    lone.tick(1, 0, term=2)
    assert (lone.disk.shown, lone.replica.shown.report()) == (0, (2, 1))
    lone.replica.run_once(NOW + 2 * STEP)
    assert not lone.state.valid
    assert lone.disk.shown == 0


def test_a_lost_leaderships_tick_that_stands_counts_as_shown(lone: LoneReplica) -> None:
    lone.lead()
    lone.replica.run_once(NOW + STEP)
    lone.replica.on_leadership_lost()
    lone.commit()
    assert lone.disk.shown == 0
    lone.replica.run_once(NOW + 2 * STEP)
    assert (lone.state.confirmed, lone.disk.shown) == (True, 1)


def test_an_answer_after_the_end_of_the_leadership_does_not_count(lone: LoneReplica, engine: InterruptedEngine) -> None:
    lone.lead()
    before = lone.state.table.digest()

    def lose() -> None:
        lone.commit()
        lone.replica.on_leadership_lost()
        lone.open(2)

    engine.during = lose  # type: ignore[assignment]
    lone.replica.run_once(NOW + STEP)
    assert lone.replica.shown.report() == (2, 0)
    assert (lone.state.tick, lone.state.table.digest(), lone.log.tick) == (0, before, 1)
    lone.replica.run_once(NOW + 2 * STEP)
    assert lone.state.confirmed, "the state before the tick stands"
    assert lone.replica.can_simulate()


def test_a_replay_after_the_end_of_the_leadership_does_not_count(lone: LoneReplica, engine: InterruptedEngine) -> None:
    lone.open(1)
    lone.tick(1, lone.digest())
    lone.open(2)
    before = lone.state.table.digest()

    def lose() -> None:
        lone.replica.on_leadership_lost()
        lone.open(3)

    engine.during = lose  # type: ignore[assignment]
    lone.replica.on_leadership_gained(2, None)
    lone.replica.run_once(NOW)
    assert lone.replica.active is None
    assert (lone.state.tick, lone.state.table.digest(), lone.disk.shown) == (0, before, 0)
