"""A step that is not deterministic is found while the pair is whole, and one that is costs next to nothing."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from structlog.testing import capture_logs

from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Batch
from pairsim.model.simulation.tick import advance
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.replication.log.records import Open, Tick, encode_record
from pairsim.replication.sync.self_check import EVERY, Audit
from pairsim.replication.sync.state import State
from tests.harness import spec
from tests.unit.replication.log.test_tick_log import new

SCHEMA = Schema((Component("value", "float64"),))


class Counting:
    """Counts the steps, and is off by `slip` in each; or raises."""

    components, operations = SCHEMA, ()

    def __init__(self, slip: float = 0.0, error: Exception | None = None) -> None:
        self.slip, self.error, self.steps = slip, error, 0

    def prepare(self) -> None:
        pass

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        pass

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        self.steps += 1
        if self.error is not None:
            raise self.error
        table.column("value")[:] += rng.random(len(table))
        table.column("value")[1:2] += self.slip

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return ()


class Pair:
    """The active does what is right; the passive has its state, and a simulator that may be wrong."""

    def __init__(self, passives: Counting) -> None:
        self.active, self.passives, self.spec = Counting(), passives, spec()
        self.log, self.state = new(), State(Table(SCHEMA))
        self.log.apply(encode_record(Open(1)))
        self.state.table.spawn(np.arange(3, dtype=np.int64), {})
        self.state.at(0)
        self.audit = Audit(self.spec, passives, self.log, self.state)

    def tick(self, number: int, base: int | None = None) -> None:
        command = Command(f"c{number}", "set", 2, {"value": float(number)})
        self.log.apply(encode_record(Tick(1, number, 0, 0, [], [command])))
        with self.state.lock:
            self.audit.begin(number - 1 if base is None else base, number)
            advance(self.active, self.state.table, [command], number, self.spec)
            self.state.at(number)
        self.audit.end()


def test_a_step_that_is_the_same_everywhere_is_in_order() -> None:
    pair = Pair(Counting())
    for number in range(1, 2 * EVERY + 2):
        pair.tick(number)
    assert pair.state.divergences == 0
    assert pair.passives.steps == 3, "one tick in so many is done twice"


def test_one_that_comes_out_otherwise_is_named() -> None:
    pair = Pair(Counting(slip=0.5))
    with capture_logs() as logs:
        pair.tick(1)
    assert pair.state.divergences == 1
    assert [entry for entry in logs if entry["event"] == "not the same"] == [
        {"event": "not the same", "log_level": "error", "tick": 1, "component": "value", "entity": 1}
    ]
    assert np.array_equal(pair.state.table.ids, [0, 1, 2]), "the state is the active's, as it was"


def test_one_that_raises_here_alone_does_no_harm() -> None:
    pair = Pair(Counting(error=ZeroDivisionError("here alone")))
    with capture_logs() as logs:
        pair.tick(1)
        pair.tick(2)
    assert (pair.state.divergences, pair.state.tick) == (1, 2)
    assert "it failed here" in logs[0]["event"]


@pytest.mark.parametrize("base", [-1, 0])
def test_a_frame_over_several_ticks_is_not_audited(base: int) -> None:
    pair = Pair(Counting(slip=1.0))
    pair.tick(1, base=base - 1)
    assert pair.passives.steps == 0
    pair.tick(2)
    assert pair.passives.steps == 1


def test_a_tick_that_the_log_does_not_hold_any_more_is_not_audited() -> None:
    pair = Pair(Counting(slip=1.0))
    with pair.state.lock:
        pair.audit.begin(0, 1)
        pair.state.at(1)
    pair.audit.end()
    assert (pair.passives.steps, pair.state.divergences) == (0, 0)
