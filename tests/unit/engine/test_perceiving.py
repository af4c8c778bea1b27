"""Values of any type that `perceive` returns: what fits becomes commands, and the rest is logged once per field."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import cast

import msgspec
import numpy as np
import pytest

from pairsim.engine.in_process import InProcessEngine, load_in_process
from pairsim.engine.port import MAX_PERCEIVED
from pairsim.model.commands import Command
from pairsim.model.state.table import Table
from tests.unit.model.counting import Counting, area

VALID = Command("a", "add", 0, {"amount": 1.0})


class Seeing(Counting):
    """Returns numpy's values, as a simulator does that looks into its table, and one value that cannot be converted."""

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        values: dict[str, object] = {"amount": np.int32(1)}
        return [
            Command(f"seen-{tick}", "add", cast("int", table.ids[0]), cast("dict[str, float]", values)),
            Command(f"lost-{tick}", "add", 0, cast("dict[str, float]", {"amount": object()})),
        ]


class Returning(Counting):
    """Returns what a test gives it."""

    def __init__(self, returned: object) -> None:
        super().__init__(area())
        self._returned = returned

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return cast("Iterable[Command]", self._returned)


def place(kind: type[Counting]) -> str:
    return f"{__file__}:{kind.perceive.__code__.co_firstlineno}"


def seen(caplog: pytest.LogCaptureFixture, returned: object, ticks: int = 1) -> tuple[list[Command], list[str]]:
    """Returns the commands of the last tick, and the field of each warning."""
    caplog.clear()
    engine = InProcessEngine(Returning(returned), area())
    commands: list[Command] = []
    for tick in range(1, 1 + ticks):
        commands = engine.perceive(tick)
    pattern = re.compile(
        re.escape(f"left out what the simulator {__name__}:Returning ({place(Returning)}) perceived in tick 1: ")
        + "(.+?): .+"
    )
    warnings = [pattern.fullmatch(record.getMessage()) for record in caplog.records]
    assert len(msgspec.msgpack.decode(msgspec.msgpack.encode(commands), type=list[Command])) == len(commands)
    return commands, [warning[1] if warning else "another message" for warning in warnings]


def endless() -> Iterator[Command]:
    yield from itertools.repeat(VALID)


@pytest.mark.parametrize(
    ("returned", "commands", "fields"),
    [
        (None, 0, []),
        ((), 0, []),
        ([VALID], 1, []),
        ({VALID.id: VALID}.values(), 1, []),
        ([Command("a", "add", cast("int", np.int64(3)), {"amount": cast("float", np.float32(1))})], 1, []),
        (3, 0, ["perceive"]),
        (VALID, 0, ["perceive"]),
        ([None, VALID], 1, ["perceive"]),
        ([object(), VALID], 1, ["perceive"]),
        ([Command("a", "add", 2**70, {}), VALID], 1, ["add"]),
        ([Command("a", "add", 0, {"amount": float("nan")})], 1, []),
        ([Command("a" * 2**20, "add", 0, {})], 0, ["perceive"]),
        (endless(), 0, ["perceive"]),
        ([VALID] * (MAX_PERCEIVED + 1), 0, ["perceive"]),
        ([VALID] * MAX_PERCEIVED, MAX_PERCEIVED, []),
        ([Command("x" * 64, "paint", 0, {"colour": [1.0, 1.0], "coats": 1.0})] * MAX_PERCEIVED, MAX_PERCEIVED, []),
    ],
)
def test_what_a_message_cannot_carry_is_left_out(
    caplog: pytest.LogCaptureFixture, returned: object, commands: int, fields: list[str]
) -> None:
    found, warned = seen(caplog, returned)
    assert (len(found), warned) == (commands, fields)


def test_a_command_that_does_not_fit_the_simulator_is_left_to_the_node(caplog: pytest.LogCaptureFixture) -> None:
    """The node checks the commands of any engine."""
    misfit = [Command("a", "add", 0, {"amount": 1.5}), Command("a", "add", 0, {}), Command("a", "jump", 0)]
    assert seen(caplog, misfit) == (misfit, [])


def test_a_field_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    broken = [msgspec.structs.replace(VALID, entity=entity) for entity in ("x", "y")]
    assert seen(caplog, [*broken, VALID], ticks=3) == ([VALID], ["add.entity"])


def test_the_rehearsal_logs_what_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """An author learns of it before the replica votes."""
    load_in_process(msgspec.structs.replace(area(), simulator=f"{__name__}:Seeing"))
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert f"{__name__}:Seeing ({place(Seeing)}) perceived in tick 1: add.amount: " in record.getMessage()
