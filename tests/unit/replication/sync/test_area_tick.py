"""A tick of an area: what comes in over its borders, the step, and what leaves."""

from __future__ import annotations

import numpy as np

from pairsim.engine.in_process import InProcessEngine
from pairsim.model.area import AreaSpec
from pairsim.model.authority import Authority, Cell
from pairsim.model.borders import (
    AnswerKind,
    Arrival,
    BorderInputs,
    BorderState,
    Bundle,
    ForwardedAnswer,
    ForwardedCommand,
    LinkMessage,
)
from pairsim.model.borders.answers import CommandMemory, command_key
from pairsim.model.borders.codec import encode_inputs
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.replication.log.records import Tick
from pairsim.replication.sync.area_tick import NO_INPUTS, AdvancedArea, AreaAdvance
from pairsim.replication.sync.simulator_calls import SimulatorCalls
from tests import builders

SPEC = builders.area("west", entities=0)
CELLS = tuple(
    Cell(number=number, area=name, bounds=Box((10.0 * number, 0.0, 0.0), (10.0 * number + 10.0, 1.0, 1.0)))
    for number, name in ((1, "west"), (2, "east"))
)
GRANT = BorderInputs(grants=(Authority(area="west", version=3, cells=CELLS),))


class Drifting:
    """Entities that move one metre a tick."""

    components = Schema((Component("position", "float32", 3),))
    operations = ()

    def __init__(self, area: AreaSpec) -> None:
        """Takes no parameters."""

    def prepare(self) -> None: ...

    def populate(self, table: Table, rng: np.random.Generator) -> None: ...

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.column("position")[:, 0] += np.float32(1.0)  # type: ignore[call-overload]


class Ticking:
    """An area whose ticks are computed one after the other."""

    def __init__(self) -> None:
        engine = InProcessEngine(Drifting(SPEC), SPEC)
        self.table, self.borders, self.tick = engine.table, BorderState(0), 0
        self.advance = AreaAdvance(SimulatorCalls(SPEC, engine))
        self.run(GRANT)

    def run(self, inputs: BorderInputs = NO_INPUTS, *commands: Command) -> AdvancedArea:
        self.tick += 1
        ids = self.table.ids.copy()
        advanced = self.advance(self.table, self.borders, self.tick, commands=commands, inputs=inputs, ids=ids)
        self.borders = advanced.borders
        return advanced

    def answer(self, command: str) -> tuple[AnswerKind, str]:
        answer = self.borders.answers.get(command_key(command))
        assert answer is not None
        return answer.kind, answer.reason

    def counts(self) -> tuple[int, int, int, int]:
        counters = self.borders.counters
        return counters.born, counters.died, counters.sent, counters.taken


def spawn(entity: int, x: float) -> Command:
    return Command(f"spawn-{entity}-{x}", "spawn", entity, {"position": [x, 0.5, 0.5]})


def arrival(entity: int, x: float) -> BorderInputs:
    """Returns the inputs of a tick in which an entity comes from the east."""
    columns = {"position": np.array([[x, 0.5, 0.5]], np.float32)}
    bundle = Bundle(np.array([entity], np.int64), columns, np.array([1], np.int64), version=3)
    return BorderInputs(arrivals=(Arrival(2, 1, LinkMessage(bundle, clock=40, taken=0)),))


def test_a_grant_brings_the_map_and_the_number() -> None:
    area = Ticking()
    assert (area.borders.number, area.borders.version, area.borders.map.cells) == (1, 3, CELLS)


def test_births_and_deaths_are_counted() -> None:
    area = Ticking()
    area.run(NO_INPUTS, spawn(7, 12.0), spawn(8, 12.0))
    area.run(NO_INPUTS, Command("gone", "despawn", 7))
    assert area.counts() == (2, 1, 0, 0)
    assert len(area.table) == 1


def test_what_leaves_the_cell_waits_in_the_outbox() -> None:
    area = Ticking()
    area.run(NO_INPUTS, spawn(7, 18.5))
    assert len(area.table) == 1
    area.run()
    assert len(area.table) == 0
    (message,) = area.borders.links[2].outbox.values()
    assert message.rows == 1
    assert area.counts() == (1, 0, 1, 0)


def test_what_arrives_is_not_born() -> None:
    area = Ticking()
    area.run(arrival(9, 12.0), spawn(7, 12.0))
    assert area.table.ids.tolist() == [9, 7]
    assert area.counts() == (1, 0, 0, 1)
    assert area.borders.clock == 40


def test_a_spawn_with_an_id_in_an_outbox_is_rejected() -> None:
    area = Ticking()
    area.run(NO_INPUTS, spawn(7, 19.5))
    area.run(NO_INPUTS, spawn(8, 12.0), spawn(7, 12.0))
    assert area.answer("spawn-7-12.0") == (AnswerKind.REJECTED, "entity 7 is on its way to another area")
    assert area.answer("spawn-8-12.0") == (AnswerKind.APPLIED, "")
    assert area.table.ids.tolist() == [8]
    assert area.counts() == (2, 0, 1, 0)


def test_the_borders_before_a_tick_do_not_change() -> None:
    area = Ticking()
    before, digest = area.borders, area.borders.digest()
    area.run(arrival(9, 12.0), spawn(7, 18.5))
    area.run()
    assert before.digest() == digest


def test_a_replay_comes_to_the_same_state() -> None:
    area, other = Ticking(), Ticking()
    inputs, commands = arrival(9, 12.0), [spawn(7, 19.5)]
    area.run(inputs, *commands)
    record = Tick(1, 2, 0, 0, commands, encode_inputs(inputs))
    repeated = other.advance.repeat(other.table, other.borders, record, ())
    assert repeated.borders.digest() == area.borders.digest()
    assert other.table.digest() == area.table.digest()


def test_a_command_that_was_applied_before_its_entity_came_does_not_run_again() -> None:
    area = Ticking()
    memory = CommandMemory(command_key("gone"), np.array([9]), np.array([1]), {})
    columns = {"position": np.array([[12.0, 0.5, 0.5]], np.float32)}
    bundle = Bundle(np.array([9], np.int64), columns, np.array([1], np.int64), version=3, memory=memory)
    arrives = BorderInputs(arrivals=(Arrival(2, 1, LinkMessage(bundle, clock=40, taken=0)),))
    area.run(arrives, Command("gone", "despawn", 9, attempt=2))
    assert area.table.ids.tolist() == [9]
    assert area.answer("gone") == (AnswerKind.APPLIED, "")


def test_a_forwarded_command_runs_and_its_answer_goes_back() -> None:
    area = Ticking()
    area.run(NO_INPUTS, spawn(7, 12.0))
    order = LinkMessage(ForwardedCommand(Command("gone", "despawn", 7), 2, 2), clock=40, taken=0)
    area.run(BorderInputs(arrivals=(Arrival(2, 1, order),)))
    assert not len(area.table)
    (message,) = area.borders.links[2].outbox.values()
    assert isinstance(message.body, ForwardedAnswer)
    assert message.body.answer.kind is AnswerKind.APPLIED


def test_a_command_to_an_entity_that_left_is_forwarded_or_answered_with_its_area() -> None:
    area = Ticking()
    area.run(NO_INPUTS, spawn(7, 19.5))
    area.run(NO_INPUTS, Command("follows", "despawn", 7, attempt=1), Command("stays", "despawn", 7))
    assert area.answer("follows") == (AnswerKind.MOVED, "")
    assert area.answer("stays") == (AnswerKind.FORWARDED, "")
    assert [type(message.body) for message in area.borders.links[2].outbox.values()] == [Bundle, ForwardedCommand]
