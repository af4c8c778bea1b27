"""Values of any type that `perceive` returns: what fits becomes commands, and the rest is logged once per field."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest
import structlog

from pairsim.model.command_schema import CommandSchema
from pairsim.model.commands import Command
from pairsim.model.state.table import Table
from pairsim.replication.replica.perception import MAX_PERCEIVED, Perception
from tests.unit.model.counting import Counting, area
from tests.unit.replication.process.processes import assignment, simulator_process

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


def seen(returned: object, ticks: int = 1) -> tuple[list[Command], list[str]]:
    """Returns the commands of the last tick, and the field of each warning."""
    simulator = Returning(returned)
    perception = Perception(simulator, CommandSchema(simulator.components, simulator.operations))
    commands: list[Command] = []
    with structlog.testing.capture_logs() as logs:
        for tick in range(1, 1 + ticks):
            commands = perception.commands(Table(simulator.components), tick)
    assert all(entry["file"] == __file__ and entry["reason"] for entry in logs)
    return commands, [entry["field"] for entry in logs]


def endless() -> Iterator[Command]:
    yield from itertools.repeat(VALID)


@pytest.mark.parametrize(
    ("returned", "commands", "fields"),
    [
        (None, 0, []),
        ((), 0, []),
        ([VALID], 1, []),
        ({VALID.id: VALID}.values(), 1, []),
        (3, 0, ["perceive"]),
        (VALID, 0, ["perceive"]),
        ([None, VALID], 1, ["perceive"]),
        ([Command("a", "add", 0, {"amount": 1.5}), VALID], 1, ["add"]),
        ([Command("a", "add", 0, {}), Command("a", "jump", 0)], 0, ["add", "jump"]),
        (endless(), 0, ["perceive"]),
        ([VALID] * (MAX_PERCEIVED + 1), 0, ["perceive"]),
        ([VALID] * MAX_PERCEIVED, MAX_PERCEIVED, []),
        ([Command("x" * 64, "paint", 0, {"colour": [1.0, 1.0], "coats": 1.0})] * MAX_PERCEIVED, MAX_PERCEIVED, []),
    ],
)
def test_what_does_not_fit_is_left_out(returned: object, commands: int, fields: list[str]) -> None:
    found, warned = seen(returned)
    assert (len(found), warned) == (commands, fields)


def test_a_field_is_logged_once() -> None:
    broken = [msgspec.structs.replace(VALID, entity=entity) for entity in ("x", "y")]
    assert seen([*broken, VALID], ticks=3) == ([VALID], ["add.entity"])


def test_the_trial_logs_what_is_left_out_before_the_replica_votes(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(area(), simulator=f"{__name__}:Seeing")
    with simulator_process(tmp_path) as process, structlog.testing.capture_logs() as logs:
        process.assign(assignment(process, spec))
        assert process.status().area == "a"
    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert [(entry["field"], entry["file"], entry["tick"]) for entry in warnings] == [("add.amount", __file__, 1)]
