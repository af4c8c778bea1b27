"""A step that is not deterministic is found while the pair is redundant, at little cost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from pairsim.engine.in_process import InProcessEngine
from pairsim.engine.port import Engine
from pairsim.model.area import AreaSpec
from pairsim.model.borders import BorderState, decide, settle
from pairsim.model.borders.commands import attempt_of
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Batch
from pairsim.model.simulation.tick import advance
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.replication.log.records import Open, Skip, Tick, encode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.sync.area_tick import AreaAdvance
from pairsim.replication.sync.self_check import INTERVAL_TICKS, SelfCheck
from pairsim.replication.sync.simulator_calls import SKIPPED, SimulatorCalls
from pairsim.replication.sync.state import ReplicaState
from tests.harness import spec
from tests.simulation.area import SPEC, Counters
from tests.simulation.engines import EngineFaults, FaultyEngine
from tests.unit.replication.log.test_tick_log import new

SCHEMA = Schema((Component("value", "float64"),))


class Counting:
    """Counts its steps, and adds an error of `slip` in each, or raises."""

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


def self_check(spec: AreaSpec, engine: Engine, log: TickLog, state: ReplicaState) -> SelfCheck:
    calls = SimulatorCalls(spec, engine)
    return SelfCheck(calls, AreaAdvance(calls), engine.check_table, log, state)


def next_borders(state: ReplicaState, tick: int, *commands: Command, rejected: str = "") -> BorderState:
    """Returns the borders of a tick with these commands, of which one may be rejected as skipped."""
    borders = state.borders.copy()
    borders.clock += 1
    decide(borders, state.table, [attempt_of(command) for command in commands], tick)
    settle(borders, (), {rejected: SKIPPED} if rejected else {})
    return borders


class CheckedPair:
    """An active that steps correctly, and a passive with its state and a simulator that may be wrong."""

    def __init__(self, passive: Counting) -> None:
        self.active, self.passive, self.spec = Counting(), passive, spec()
        engine = InProcessEngine(passive, self.spec)
        self.log, self.state = new(), ReplicaState("area", engine.table)
        self.log.apply(encode_record(Open(1)))
        self.state.table.spawn(np.arange(3, dtype=np.int64), {})
        self.state.mark_tick(0)
        self.check = self_check(self.spec, engine, self.log, self.state)

    def tick(self, number: int, base: int | None = None) -> None:
        command = Command(f"c{number}", "set", 2, {"value": float(number)})
        self.log.apply(encode_record(Tick(1, number, 0, 0, [command])))
        with self.state.lock:
            self.check.begin(number - 1 if base is None else base, number)
            self.state.borders = next_borders(self.state, number, command)
            advance(self.active, self.state.table, [command], number, self.spec)
            self.state.mark_tick(number)
        self.check.end()


def test_a_deterministic_step_passes() -> None:
    pair = CheckedPair(Counting())
    for number in range(1, 2 * INTERVAL_TICKS + 2):
        pair.tick(number)
    assert pair.state.divergences == 0
    assert pair.passive.steps == 3, "one tick per interval is repeated"


def test_another_result_is_reported_with_component_and_entity() -> None:
    pair = CheckedPair(Counting(slip=0.5))
    with capture_logs() as logs:
        pair.tick(1)
    assert pair.state.divergences == 1
    assert [entry for entry in logs if entry["event"] == "component differs"] == [
        {"event": "component differs", "log_level": "error", "tick": 1, "component": "value", "entity": 1}
    ]
    assert np.array_equal(pair.state.table.ids, [0, 1, 2]), "the state stays the active's"


def test_a_step_that_raises_only_here_is_counted_and_does_no_harm() -> None:
    pair = CheckedPair(Counting(error=ZeroDivisionError("here alone")))
    with capture_logs() as logs:
        pair.tick(1)
        pair.tick(2)
    assert (pair.state.divergences, pair.state.tick) == (1, 2)
    line = Path(__file__).read_text().splitlines().index("            raise self.error") + 1
    assert [(entry["event"], entry["error"]) for entry in logs] == [
        (
            "step is not deterministic: it failed only here",
            f"the simulator {pair.spec.simulator} raised ZeroDivisionError: here alone at {__file__}:{line}",
        )
    ]
    assert "    raise self.error" in logs[0]["exception"].splitlines(), "the traceback stands above the line, on lines"


@pytest.mark.parametrize("base", [-1, 0])
def test_a_frame_over_several_ticks_is_not_checked(base: int) -> None:
    pair = CheckedPair(Counting(slip=1.0))
    pair.tick(1, base=base - 1)
    assert pair.passive.steps == 0
    pair.tick(2)
    assert pair.passive.steps == 1


def test_a_tick_that_the_log_no_longer_holds_is_not_checked() -> None:
    pair = CheckedPair(Counting(slip=1.0))
    with pair.state.lock:
        pair.check.begin(0, 1)
        pair.state.mark_tick(1)
    pair.check.end()
    assert (pair.passive.steps, pair.state.divergences) == (0, 0)


def test_a_repeated_tick_leaves_out_a_skipped_command() -> None:
    engine, log = FaultyEngine(EngineFaults({"x"})), new()
    engine.populate()
    state = ReplicaState("area", engine.table)
    digest = state.mark_tick(0)
    commands = [Command("x", "add", 1, {"amount": 1})]
    for record in (Open(1), Tick(1, 1, digest, 0, commands), Skip(1, 1, "x")):
        log.apply(encode_record(record))
    check = self_check(SPEC, engine, log, state)
    check.begin(0, 1)
    state.borders = next_borders(state, 1, *commands, rejected="x")
    advance(Counters(SPEC), state.table, [], 1, SPEC)
    state.mark_tick(1)
    check.end()
    assert state.divergences == 0
