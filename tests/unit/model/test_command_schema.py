from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.command_schema import CommandSchema, Operation
from pairsim.model.commands import Command, CommandError, Value
from pairsim.model.simulation.tick import advance
from pairsim.model.state.schema import Component, Schema
from tests.unit.model.counting import Counting, populated

COMMAND_SCHEMA = CommandSchema(Counting.components, Counting.operations)


def command(op: str = "set", entity: int = 1, name: str = "c1", **components: Value) -> Command:
    return Command(name, op, entity, components)


@pytest.mark.parametrize(
    "good",
    [
        command("spawn"),
        command("spawn", count=3.0, colour=[0.0, 9.0], weight=-0.5),
        command("despawn", entity=2**63 - 1),
        command("set", entity=0, name="x" * 64, weight=3.4028234663852886e38),
        command("add", amount=-(2.0**31)),
        command("paint", colour=[1.0, 2.0], coats=3.0),
    ],
)
def test_valid_commands_pass(good: Command) -> None:
    COMMAND_SCHEMA.check(good)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (command(name="", weight=1.0), ["1 to 64", "0"]),
        (command(name="x" * 65, weight=1.0), ["1 to 64", "65"]),
        (command(entity=-1, weight=1.0), ["c1", "2**63 - 1", "-1"]),
        (command(entity=2**63, weight=1.0), ["2**63 - 1"]),
        (command("fly"), ["'fly'", "despawn, set, spawn, add, paint"]),
        (command("set"), ["at least one", "count, colour, weight"]),
        (command("despawn", weight=1.0), ["despawn takes no components"]),
        (command(size=1.0), ["'size'", "count, colour, weight"]),
        (command(amount=1.0), ["'amount'"]),
        (command("add"), ["add takes amount", "not nothing"]),
        (command("add", amount=1.0, weight=1.0), ["add takes amount"]),
        (command("paint", coats=1.0), ["paint takes colour, coats"]),
        (command(weight=[1.0]), ["weight takes a number, not a list"]),
        (command(colour=1.0), ["colour takes a list of 2 numbers"]),
        (command(colour=[1.0]), ["a list of 2 numbers", "[1.0]"]),
        (command(colour=[1.0, 2.0, 3.0]), ["a list of 2 numbers"]),
        (command(colour=[1.0, 10.0]), ["colour is within 0 to 9", "10.0"]),
        (command(count=1.5), ["whole numbers", "1.5"]),
        (command(count=2.0**63), ["count is within"]),
        (command(weight=math.nan), ["weight is within", "nan"]),
        (command(weight=math.inf), ["weight is within", "inf"]),
        (command(weight=3.5e38), ["weight is within"]),
        (command("add", amount=2.0**31), ["amount is within"]),
    ],
)
def test_an_invalid_command_is_refused_with_the_allowed_values(bad: Command, words: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        COMMAND_SCHEMA.check(bad)
    for word in words:
        assert word in str(caught.value)


number = st.one_of(st.floats(), st.integers(-5, 12).map(float))
anything = st.builds(
    Command,
    st.text(max_size=3),
    st.sampled_from(["spawn", "despawn", "set", "add", "paint", "fly"]),
    st.integers(-1, 6),
    st.dictionaries(
        st.sampled_from(["count", "colour", "weight", "amount", "coats", "size"]),
        st.one_of(number, st.lists(number, max_size=3)),
        max_size=3,
    ),
)


@given(st.lists(anything, max_size=12))
@settings(deadline=None, max_examples=300)
def test_a_command_that_passes_can_be_applied_without_a_warning(commands: list[Command]) -> None:
    passed = []
    for one in commands:
        try:
            COMMAND_SCHEMA.check(one)
        except CommandError:
            continue
        passed.append(one)
    simulator, table, spec = populated()
    rejected = advance(simulator, table, passed, 1, spec)
    assert all("exist" in reason or reason == "nobody there" for reason in rejected.values())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Component("id", "int64"), "'id'"),
        (lambda: Component("Big", "int64"), "'Big'"),
        (lambda: Component("a", "float16"), "float16"),
        (lambda: Component("a", "int64", 0), "width 0"),
        (lambda: Component("a", "int64", 1, 2, 1), "low 2 is above high 1"),
        (lambda: Schema((Component("a", "int64"), Component("a", "float32"))), "same name"),
        (lambda: CommandSchema(Counting.components, [Operation("set")]), "'set'"),
        (lambda: CommandSchema(Counting.components, [Operation("a"), Operation("a")]), "'a'"),
    ],
)
def test_an_invalid_declaration_is_refused(make: type, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
