"""Objects of a simulator's code where pairsim expects plain ones: reasons, columns, ids."""

from __future__ import annotations

from typing import cast

import msgspec
import numpy as np
import pytest

from pairsim.model.command_schema import CommandSchema, Operation
from pairsim.model.commands import Command
from pairsim.model.simulation.error_location import error_with_location
from pairsim.model.simulation.simulator import MAX_REASON_BYTES, Batch
from pairsim.model.simulation.tick import advance
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.model.state.table_memory import Ids
from tests.unit.model.counting import Counting, area


class Mute(Exception):
    """An exception without a text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Text(str):
    """A text of a type of its own."""

    __slots__ = ()


class Rejecting(Counting):
    """Rejects every command with the reason that a test gives it."""

    def __init__(self, reason: object, place: object = 0) -> None:
        super().__init__(area())
        self._reason, self._place = reason, place

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        batch.reject(cast("int", self._place), self._reason)


def rejections(reason: object, place: object = 0) -> dict[int, str]:
    simulator = Rejecting(reason, place)
    return advance(simulator, Table(simulator.components), [Command("a", "add", 1, {"amount": 1.0})], 1, area())


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("nobody there", "nobody there"),
        (Text("nobody there"), "nobody there"),
        (np.str_("nobody there"), "nobody there"),
        (KeyError("walker"), "KeyError: 'walker'"),
        (KeyError(), "KeyError"),
        (Mute(), "Mute: its text cannot be shown"),
        (["a", 1], "['a', 1]"),
        (None, "None"),
        ("", "the simulator rejected it without a reason"),
        (" ", "the simulator rejected it without a reason"),
        ("\ud800", "?"),
        ("ä" * 1000, "ä" * (MAX_REASON_BYTES // 2)),
        (ValueError("x" * 10_000_000), f"ValueError: {'x' * (MAX_REASON_BYTES - 12)}"),
    ],
)
def test_any_reason_becomes_a_text_that_the_log_can_hold(reason: object, text: str) -> None:
    found = rejections(reason)
    assert found == {0: text}
    assert type(found[0]) is str
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found[0])) == text


def test_the_place_of_a_rejection_may_be_a_number_of_numpy() -> None:
    assert rejections("no", np.int64(0)) == {0: "no"}


def test_a_rejection_of_a_place_that_the_batch_lacks_is_ignored() -> None:
    assert rejections("no", 1) == rejections("no", 10**30) == rejections("no", -2) == {}


def test_an_error_whose_text_raises_is_described() -> None:
    assert error_with_location(Mute()) == "Mute: its text cannot be shown"


@pytest.mark.parametrize("dtype", ["float32", np.str_("float32"), np.float32, np.dtype("float32")])
def test_a_column_is_described_with_plain_values(dtype: object) -> None:
    found = Component(
        np.str_("height"), cast("str", dtype), cast("int", np.int64(2)), cast("float", np.float32(0)), high=9
    )
    assert found == Component("height", "float32", 2, 0.0, 9)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Component) == found
    assert str(found.high) == "9", "a bound is shown as its author wrote it"


@pytest.mark.parametrize(
    ("dtype", "width"), [("text", 1), (3, 1), (None, 1), (np.complex64, 1), (float, 1), ("int8", 0), ("int8", 65)]
)
def test_a_column_of_another_type_is_refused(dtype: object, width: int) -> None:
    with pytest.raises(ValueError, match="height"):
        Component("height", cast("str", dtype), width)


def test_an_operation_is_described_with_plain_values() -> None:
    operation = Operation(np.str_("push"), cast("tuple[Component, ...]", [Component("force", "float32")]))
    assert type(operation.name) is str
    assert CommandSchema(Schema(()), (operation,)).operations.keys() == {"push"}
    assert isinstance(operation.arguments, tuple)


def test_ids_may_be_a_list() -> None:
    table = Table(Schema((Component("height", "float32"),)))
    ids = cast("Ids", [3, 4])
    table.spawn(ids, {})
    assert table.rows(ids).tolist() == [0, 1]
    table.despawn(ids)
    assert len(table) == 0


@pytest.mark.parametrize("ids", [[1.0, 2.0], np.array([1, 2], np.uint8), np.array([1, 2], np.float32)])
def test_ids_of_another_type_are_found_as_whole_numbers(ids: object) -> None:
    table = Table(Schema((Component("height", "float32"),)))
    table.spawn(cast("Ids", ids), {})
    assert table.rows(np.array([1, 2])).tolist() == [0, 1]
    assert (table.row(1), 2 in table) == (0, True)


@pytest.mark.parametrize(
    "ids", [[1.5], [np.nan], ["a"], [None], [True], [2**64], np.array([2**63], np.uint64), [1e30], [1j]]
)
def test_ids_that_are_not_whole_numbers_are_refused(ids: object) -> None:
    """The lookup would hold 1.5 and the column 1: replicas would disagree about the entity after a takeover."""
    table = Table(Schema((Component("height", "float32"),)))
    with pytest.raises(ValueError, match="whole numbers"):
        table.spawn(cast("Ids", ids), {})
    assert len(table) == 0


def test_a_place_in_a_file_of_any_name_can_be_encoded() -> None:
    with pytest.raises(ValueError, match="x") as raised:
        exec(compile("raise ValueError('x')", "/srv/\udcff.py", "exec"))  # noqa: S102 - the name of the file matters
    assert error_with_location(raised.value) == "ValueError: x at /srv/?.py:1"
