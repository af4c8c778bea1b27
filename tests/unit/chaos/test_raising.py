"""The simulator that raises on command for a while, and is another simulator otherwise."""

from __future__ import annotations

import time

import msgspec
import numpy as np
import pytest

from pairsim.simulator import AreaSpec, Command, ParameterError, Table, advance, load_simulator, populate_initial
from pairsim_chaos.raising import OPERATION, UNTIL, Raising
from tests import builders

SPEC = msgspec.structs.replace(
    builders.area("west"), simulator="pairsim_chaos.raising:Raising", entities=20, parameters={"simulator": "physics"}
)
PLAIN = msgspec.structs.replace(SPEC, simulator="physics", parameters={})


def command(until: float) -> Command:
    return Command("c", OPERATION, 0, {UNTIL: until})


def after_one_tick(spec: AreaSpec, *commands: Command) -> Table:
    simulator = load_simulator(spec.simulator)(spec)
    simulator.prepare()
    table = Table(simulator.components)
    populate_initial(simulator, table, spec)
    assert advance(simulator, table, commands, 1, spec) == {}
    return table


def test_it_raises_until_the_time_of_the_command() -> None:
    with pytest.raises(RuntimeError, match="an experiment made this tick fail"):
        after_one_tick(SPEC, command(time.time() + 600))


def test_a_tick_after_that_time_is_that_of_the_other_simulator() -> None:
    mine, plain = after_one_tick(SPEC, command(time.time() - 1)), after_one_tick(PLAIN)
    assert np.array_equal(mine.ids, plain.ids)
    for name in ("position", "velocity"):
        assert np.array_equal(mine.column(name), plain.column(name))


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "must name the simulator that is to raise"),
        ({"simulator": 7}, "must name the simulator that is to raise"),
        ({"simulator": "physics", "size": 3}, "physics has no parameter 'size'"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters: dict[str, str | int], sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        Raising(msgspec.structs.replace(SPEC, parameters=parameters))
