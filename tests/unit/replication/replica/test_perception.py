"""The commands that an engine perceives: what fits the schema and a tick is taken, the rest is logged once a field."""

from __future__ import annotations

import pytest
import structlog

from pairsim.engine.in_process import InProcessEngine
from pairsim.engine.port import MAX_PERCEIVED, MAX_PERCEIVED_BYTES
from pairsim.model.command_schema import CommandSchema
from pairsim.model.commands import Command
from pairsim.replication.log.records import commands_bytes
from pairsim.replication.replica.perception import Perception
from pairsim.replication.sync.simulator_calls import SimulatorCalls
from tests.unit.model.counting import Counting, area

VALID = Command("a", "add", 0, {"amount": 1.0})
LONGEST = Command("\N{MUSICAL SYMBOL G CLEF}" * 64, "add", 2**63 - 1, {"amount": 1.0})
"""Its id is within its characters, and takes four bytes for each."""

FITTING = MAX_PERCEIVED_BYTES // (commands_bytes([LONGEST] * 2) - commands_bytes([LONGEST])) - 1


class Perceiving(InProcessEngine):
    """An engine of any kind: it returns what a test gives it, without the checks of pairsim's own engine."""

    def __init__(self, returned: list[Command]) -> None:
        super().__init__(Counting(area()), area())
        self._returned, self.ticks = returned, list[int]()

    def perceive(self, tick: int) -> list[Command]:
        self.ticks.append(tick)
        return list(self._returned)


def seen(returned: list[Command], ticks: int = 1) -> tuple[list[Command], list[str]]:
    """Returns the commands of the last tick, and the field of each warning."""
    engine, spec = Perceiving(returned), area()
    schema = CommandSchema(engine.components, engine.operations)
    perception = Perception(spec.simulator, SimulatorCalls(spec, engine), lambda: schema)
    commands: list[Command] = []
    with structlog.testing.capture_logs() as logs:
        for tick in range(1, 1 + ticks):
            commands = perception.commands(tick)
    assert engine.ticks == list(range(1, 1 + ticks))
    assert all(entry["simulator"] == spec.simulator and entry["tick"] == 1 and entry["reason"] for entry in logs)
    return commands, [entry["field"] for entry in logs]


@pytest.mark.parametrize(
    ("returned", "commands", "fields"),
    [
        ([], 0, []),
        ([VALID], 1, []),
        ([Command("a", "add", 0, {"amount": 1.5}), VALID], 1, ["add"]),
        ([Command("a", "add", 0, {"amount": float("nan")}), VALID], 1, ["add"]),
        ([Command("a", "add", 2**70, {"amount": 1.0}), VALID], 1, ["add"]),
        ([Command("", "add", 0, {"amount": 1.0}), VALID], 1, ["add"]),
        ([Command("a", "add", 0, {}), Command("a", "jump", 0)], 0, ["add", "jump"]),
        ([VALID] * (MAX_PERCEIVED + 1), 0, ["perceive"]),
        ([VALID] * MAX_PERCEIVED, MAX_PERCEIVED, []),
        ([Command("x" * 64, "paint", 0, {"colour": [1.0, 1.0], "coats": 1.0})] * MAX_PERCEIVED, MAX_PERCEIVED, []),
        ([LONGEST] * FITTING, FITTING, []),
        ([LONGEST] * (FITTING + 2), 0, ["perceive"]),
    ],
)
def test_what_does_not_fit_is_left_out(returned: list[Command], commands: int, fields: list[str]) -> None:
    found, warned = seen(returned)
    assert (len(found), warned) == (commands, fields)


def test_a_field_is_logged_once() -> None:
    broken = [Command(name, "add", 0, {"amount": 1.5}) for name in ("x", "y")]
    assert seen([*broken, VALID], ticks=3) == ([VALID], ["add"])
