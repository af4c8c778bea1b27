"""The example of docs/simulators.md is code that runs."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

from pairsim.model.apply import advance, genesis
from pairsim.model.assignment import AreaSpec
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.simulator import ParameterError, Simulator, load_simulator
from pairsim.model.table import Table

PAGE = Path(__file__).parents[3] / "docs" / "simulators.md"
BOX = Box((0, 0, 0), (10, 10, 10))


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> type[Simulator]:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    module = types.ModuleType("growth")
    monkeypatch.setitem(sys.modules, "growth", module)
    exec(compile(found[1], "growth.py", "exec"), module.__dict__)  # noqa: S102 - the project's own page
    return load_simulator("growth:Growth")


def area(**parameters: float | str) -> AreaSpec:
    return AreaSpec(
        area="a", plane="p", simulator="growth:Growth", parameters=parameters, bounds=BOX, world=BOX, entities=3
    )


def test_the_example_grows_plants_and_takes_its_command(growth: type[Simulator]) -> None:
    simulator, table = growth(area(limit=2.5)), Table(growth.components)
    simulator.prepare()
    genesis(simulator, table, area())
    water = [Command("1", "water", 2, {"litres": 1.5}), Command("2", "water", 9, {"litres": 1.0})]
    assert advance(simulator, table, water, 1, area()) == {1: "there is no such plant"}
    assert table.column("height")[1] > 1.5 > table.column("height")[0] > 0
    advance(simulator, table, water[:1] * 3, 2, area())
    assert table.column("height")[1] == 2.5


@pytest.mark.parametrize(("parameters", "word"), [({"size": 1.0}, "size"), ({"limit": "x"}, "limit")])
def test_the_example_refuses_wrong_parameters(
    growth: type[Simulator], parameters: dict[str, float | str], word: str
) -> None:
    with pytest.raises(ParameterError, match=word):
        growth(area(**parameters))
