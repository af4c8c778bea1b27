from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.commands import Command
from pairsim.model.simulation.random import random_stream
from pairsim.model.simulation.simulator import Batch
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from tests.unit.model.counting import Counting, area, populated

small = st.integers(0, 9).map(float)
components = st.fixed_dictionaries({}, optional={"count": small, "colour": st.lists(small, min_size=2, max_size=2)})
base = st.builds(
    Command,
    st.just("c"),
    st.sampled_from(["spawn", "despawn", "set"]),
    st.integers(0, 7),
    components,
)


def one_by_one(table: Table, commands: list[Command]) -> dict[int, str]:
    """What runs of commands must equal."""
    rejected = {}
    for place, command in enumerate(commands):
        row = table.row(command.entity)
        if command.op == "spawn" and row is not None:
            rejected[place] = f"entity {command.entity} exists already"
        elif command.op == "spawn":
            table.spawn(np.array([command.entity], np.int64), {n: np.array([v]) for n, v in command.components.items()})
        elif row is None:
            rejected[place] = f"entity {command.entity} does not exist"
        elif command.op == "despawn":
            table.despawn(np.array([command.entity], np.int64))
        else:
            for name, value in command.components.items():
                table.column(name)[row] = value
    return rejected


@given(st.lists(base, max_size=25))
@settings(deadline=None, max_examples=300)
def test_runs_of_commands_equal_single_commands_in_order(commands: list[Command]) -> None:
    simulator, table, spec = populated()
    expected = table.copy()
    reasons = one_by_one(expected, commands)
    expected.column("count")[:] += 1
    assert advance(simulator, table, commands, 1, spec) == reasons
    assert table.digest() == expected.digest()


def test_base_commands_come_first_and_places_refer_to_the_tick() -> None:
    simulator, table, spec = populated(0)
    commands = [
        Command("1", "add", 9, {"amount": 5.0}),
        Command("2", "spawn", 9, {"count": 10.0}),
        Command("3", "add", 8, {"amount": 5.0}),
        Command("4", "spawn", 9),
        Command("5", "add", 9, {"amount": 7.0}),
    ]
    assert advance(simulator, table, commands, 1, spec) == {2: "nobody there", 3: "entity 9 exists already"}
    assert table.column("count").tolist() == [10 + 1 + 5 + 7]


def test_a_command_of_another_version_is_rejected_and_never_raises() -> None:
    simulator, table, spec = populated()
    before = table.copy()
    misfits = [
        Command("1", "fly", 1),
        Command("2", "set", 1, {"size": 1.0}),
        Command("3", "set", 1, {"colour": [1.0]}),
        Command("4", "spawn", 7, {"weight": [1.0]}),
        Command("5", "add", 1),
        Command("6", "paint", 1, {"colour": 1.0, "coats": 1.0}),
    ]
    assert advance(simulator, table, misfits, 1, spec) == {
        0: "the operation 'fly' is unknown",
        1: "the component 'size' is unknown",
        2: "colour takes a list of 2 numbers",
        3: "weight takes a number, not a list",
        4: "add takes amount",
        5: "colour takes a list of 2 numbers",
    }
    assert table.ids.tolist() == before.ids.tolist()
    assert (table.column("count") == before.column("count") + 1).all()


def test_numbers_are_read_as_the_log_carries_them() -> None:
    simulator, table, spec = populated()
    advance(simulator, table, [Command("1", "set", 1, {"count": 2**53 + 1})], 1, spec)
    assert table.column("count")[1] == 2**53 + 1  # 2**53 as float64, and one more for the tick


def test_a_batch_returns_arrays_of_the_declared_dtype_even_when_empty() -> None:
    commands = [Command("1", "paint", 3, {"colour": [1.0, 2.0], "coats": 3.0}), Command("2", "add", 2, {"amount": 1.0})]
    batch = Batch(commands, Counting.operations)
    places, entities, arguments = batch.of("paint")
    assert (places.tolist(), entities.tolist()) == ([0], [3])
    assert (arguments["colour"].tolist(), arguments["colour"].dtype) == ([[1, 2]], np.uint8)
    assert (arguments["coats"].tolist(), arguments["coats"].dtype) == ([3], np.int32)
    nothing = Batch([], Counting.operations).of("paint")
    assert nothing[0].shape == nothing[1].shape == nothing[2]["coats"].shape == (0,)
    assert nothing[2]["colour"].shape == (0, 2)
    with pytest.raises(KeyError):
        batch.of("fly")


def test_random_numbers_depend_on_seed_area_and_tick_only() -> None:
    def first(seed: int, name: str, tick: int) -> tuple[int, ...]:
        return tuple(random_stream(seed, name, tick).integers(0, 2**63, 4).tolist())

    assert first(1, "a", 5) == first(1, "a", 5)
    assert len({first(1, "a", 5), first(1, "a", 6), first(1, "b", 5), first(2, "a", 5)}) == 4
    # Streams of neighbouring ticks do not run into each other.
    assert not set(random_stream(1, "a", 5).integers(0, 2**63, 5000).tolist()) & set(first(1, "a", 6))
    # They are part of every world that exists: another numpy must give the same.
    assert first(7, "west", 3)[0] == 7584753788917218424


def test_the_initial_state_is_the_same_for_the_same_area() -> None:
    digests = set()
    for _ in range(2):
        table = Table(Counting.components)
        populate_initial(Counting(area()), table, area())
        digests.add(table.digest())
    assert len(digests) == 1
