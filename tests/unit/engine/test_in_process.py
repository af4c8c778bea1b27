"""The engine without a process: the same conversions and errors as of an engine with one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from pairsim.engine.in_process import InProcessEngine, load_in_process
from pairsim.engine.port import Engine, EngineHungError, EngineLostError, EngineRaisedError
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Batch
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from tests.unit.model.counting import Counting, area

COMMANDS = [
    Command("a", "add", 1, {"amount": 5.0}),
    Command("b", "add", 99, {"amount": 5.0}),
    Command("c", "spawn", 7, {"count": 3.0}),
    Command("d", "despawn", 0),
]


class Raising(Counting):
    """Raises in one call, as a text of its parameters says."""

    fault: BaseException | None = None

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.column("count")[:] = 0
        if self.fault is not None:
            raise self.fault
        batch.reject(0, ValueError("its own object"))

    def perceive(self, table: Table, tick: int) -> list[Command]:
        return []


def engine(fault: BaseException | None = None) -> InProcessEngine:
    simulator = Raising(area())
    simulator.fault = fault
    made = InProcessEngine(simulator, area())
    made.populate()
    return made


def test_it_computes_what_the_bare_functions_compute() -> None:
    spec = area(100)
    made: Engine = load_in_process(spec)
    made.populate()
    bare, simulator = Table(Counting.components), Counting(spec)
    populate_initial(simulator, bare, spec)
    for tick in range(1, 4):
        rejected = made.advance(made.table, COMMANDS, tick)
        assert rejected == advance(simulator, bare, COMMANDS, tick, spec)
        assert made.table.digest() == bare.digest()
    assert made.perceive(4) == [Command("seen-4", "add", 0, {"amount": 1.0})]
    made.check_table.assign(bare.ids, bare.columns())
    made.advance(made.check_table, [], 4)
    assert made.check_table.digest() != made.table.digest()
    made.close()


@pytest.mark.parametrize("fault", [NameError("name 'x' is not defined"), SystemExit(3), asyncio.CancelledError("away")])
def test_an_error_names_the_line_of_the_author_and_the_engine_goes_on(fault: BaseException) -> None:
    made = engine(fault)
    with pytest.raises(EngineRaisedError) as raised:
        made.advance(made.table, [], 1)
    line = Path(__file__).read_text().splitlines().index("            raise self.fault") + 1
    assert raised.value.sentence == (
        f"the simulator {area().simulator} raised {type(fault).__name__}: {fault} at {__file__}:{line}"
    )
    assert "raise self.fault" in raised.value.traceback
    assert made.perceive(2) == []


def test_an_interrupt_of_the_terminal_is_not_an_error_of_the_simulator() -> None:
    with pytest.raises(KeyboardInterrupt):
        engine(KeyboardInterrupt()).advance(Table(Counting.components), [], 1)


def test_reasons_are_texts() -> None:
    made = engine()
    assert made.advance(made.table, COMMANDS[:1], 1) == {0: "ValueError: its own object"}


def test_errors_are_sentences() -> None:
    assert str(EngineHungError(2.04)) == "the engine gave no answer for 2.0 s"
    assert str(EngineHungError(2, "in step at /g.py:3")) == "the engine gave no answer for 2.0 s, in step at /g.py:3"
    assert str(EngineLostError("was ended by SIGSEGV")) == "the engine was ended by SIGSEGV"
