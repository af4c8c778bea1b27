"""What `perceive` returns becomes plain values that the log can hold, or is refused field by field."""

from __future__ import annotations

import array
import collections
import decimal
import enum
import uuid
from collections.abc import Mapping
from typing import cast

import msgspec
import numpy as np
import pytest

from pairsim.model.commands import Command
from pairsim.model.simulation.perceived import PerceivedFieldError, plain_command

NUMBER = uuid.UUID(int=7)


class Op(enum.StrEnum):
    ADD = "add"


def perceived(**fields: object) -> object:
    given: dict[str, object] = {"id": "a", "op": "add", "entity": 3, "components": {"amount": 1.0}}
    command: object = Command(**(given | fields))  # type: ignore[arg-type] - what a simulator returns
    return command


@pytest.mark.parametrize(
    ("fields", "plain"),
    [
        ({"id": np.str_("b")}, Command("b", "add", 3, {"amount": 1.0})),
        ({"id": np.int64(7)}, Command("7", "add", 3, {"amount": 1.0})),
        ({"id": NUMBER}, Command(str(NUMBER), "add", 3, {"amount": 1.0})),
        ({"op": np.str_("add")}, Command("a", "add", 3, {"amount": 1.0})),
        ({"op": Op.ADD}, Command("a", "add", 3, {"amount": 1.0})),
        *(
            ({"entity": entity}, Command("a", "add", 5, {"amount": 1.0}))
            for entity in (np.int64(5), np.uint64(5), np.array(5), np.array([5]), np.float64(5))
        ),
        ({"entity": np.True_}, Command("a", "add", 1, {"amount": 1.0})),
        ({"components": collections.OrderedDict({np.str_("amount"): 1})}, Command("a", "add", 3, {"amount": 1.0})),
        *(
            ({"components": {"amount": value}}, Command("a", "add", 3, {"amount": 1.0}))
            for value in (
                np.float32(1), np.int8(1), np.True_, True, 1, np.array(1), np.array([1.0]), (1,), decimal.Decimal(1)
            )
        ),
        *(
            ({"components": {"at": value}}, Command("a", "add", 3, {"at": [1.0, 2.0]}))
            for value in (
                np.array([1, 2], np.float32), np.array([1, 2], np.int64), np.array([1, 2], object),
                (1, np.float64(2)), [np.int32(1), 2], array.array("d", [1, 2]), range(1, 3), collections.deque([1, 2]),
            )
        ),
    ],
)  # fmt: skip
def test_a_command_is_converted_to_plain_values(fields: dict[str, object], plain: Command) -> None:
    found = plain_command(perceived(**fields))
    assert found == plain
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Command) == found
    numbers = [n for value in found.components.values() for n in (value if isinstance(value, list) else [value])]
    assert {type(n) for n in numbers} == {float}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": None}, "add.id"),
        ({"id": "\ud800"}, "add.id"),
        ({"op": 3}, "op"),
        ({"entity": "3"}, "add.entity"),
        ({"entity": 3.5}, "add.entity"),
        ({"entity": np.array([1, 2])}, "add.entity"),
        ({"components": [1]}, "add.components"),
        ({"components": {3: 1.0}}, "add.components"),
        *(
            ({"components": {"amount": value}}, "add.amount")
            for value in (
                None, "1", b"1", 10**400, 1j, object(), {1, 2}, {1: 2}, [None], np.ones((2, 2)), np.array("1"),
                np.datetime64("2026-01-01"), np.ma.array([1.0, 2.0], mask=[0, 1]),
            )
        ),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_converted_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(PerceivedFieldError) as refused:
        plain_command(perceived(**fields))
    assert refused.value.field == field
    assert "cannot be converted to" in str(refused.value)


@pytest.mark.parametrize("value", [None, "abc", 3, {"id": "a"}, ("a", "add", 3)])
def test_an_object_that_is_not_a_command_is_refused(value: object) -> None:
    with pytest.raises(PerceivedFieldError, match="is not a Command"):
        plain_command(value)


def test_the_simulator_may_change_what_it_has_returned() -> None:
    mutable: dict[str, list[float]] = {"at": [1.0, 2.0]}
    found = plain_command(perceived(components=mutable))
    mutable["at"][0] = 9.0
    mutable["more"] = []
    assert cast("Mapping[str, object]", found.components) == {"at": [1.0, 2.0]}
