"""The engine without a process: the same conversions and errors as of an engine with one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest
import structlog

from pairsim.engine.in_process import InProcessEngine, load_in_process
from pairsim.engine.port import MAX_PERCEIVED, Engine, EngineHungError, EngineLostError, EngineRaisedError
from pairsim.model.area import AreaSpec
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
    perceived: object = ()

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.column("count")[:] = 0
        if self.fault is not None:
            raise self.fault
        batch.reject(0, ValueError("its own object"))

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return cast("Iterable[Command]", self.perceived)


def engine(fault: BaseException | None = None, perceived: object = ()) -> InProcessEngine:
    simulator = Raising(area())
    simulator.fault, simulator.perceived = fault, perceived
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


@pytest.mark.parametrize("fault", [NameError("name 'x' is not defined"), SystemExit(3)])
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


@pytest.mark.parametrize(
    ("perceived", "count", "fields"),
    [
        (None, 0, []),
        (3, 0, ["perceive"]),
        ([Command("a", "add", cast("int", np.int64(3)), {"amount": cast("float", np.float32(1))})], 1, []),
        ([Command("a", "add", 2**70, {})], 0, ["add"]),
        ([Command("a", "add", 0, {"amount": float("nan")})], 1, []),
        ([Command("a" * 2**20, "add", 0, {})], 0, ["perceive"]),
        ([Command("a", "add", 0, {})] * (MAX_PERCEIVED + 1), 0, ["perceive"]),
        ([object(), Command("a", "add", 0, {})], 1, ["perceive"]),
    ],
)
def test_perceived_commands_can_be_carried_by_a_message(perceived: object, count: int, fields: list[str]) -> None:
    with structlog.testing.capture_logs() as logs:
        commands = engine(perceived=perceived).perceive(1)
    assert (len(commands), [entry["field"] for entry in logs]) == (count, fields)
    assert len(msgspec.msgpack.decode(msgspec.msgpack.encode(commands), type=list[Command])) == count


def named(simulator: str, **parameters: int) -> AreaSpec:
    return msgspec.structs.replace(area(**parameters), simulator=simulator)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (named("nowhere:Nothing"), "the simulator 'nowhere:Nothing' cannot be loaded: No module named 'nowhere'"),
        (named("tests.unit.model.counting:Counting", wrong=1), "counting takes the parameter pace alone"),
        (named(f"{__name__}:WithoutSchema"), "TypeError: the components must be a Schema, not tuple"),
        (named(f"{__name__}:TwoAlike"), "ValueError: two operations have the name 'add': give them different names"),
    ],
)
def test_a_simulator_that_cannot_be_used_is_refused_with_a_sentence(spec: AreaSpec, sentence: str) -> None:
    with pytest.raises(EngineRaisedError) as raised:
        load_in_process(spec)
    assert sentence in raised.value.sentence


class WithoutSchema(Counting):
    components = tuple(Counting.components)  # type: ignore[assignment]


class TwoAlike(Counting):
    operations = Counting.operations[:1] * 2  # type: ignore[assignment]


def test_errors_are_sentences() -> None:
    assert str(EngineHungError(2.04)) == "the engine gave no answer for 2.0 s"
    assert str(EngineHungError(2, "in step at /g.py:3")) == "the engine gave no answer for 2.0 s, in step at /g.py:3"
    assert str(EngineLostError("was ended by SIGSEGV")) == "the engine was ended by SIGSEGV"
