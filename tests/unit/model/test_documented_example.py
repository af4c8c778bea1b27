"""The code of docs/simulators.md runs, in the order of the page, and so does its world."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import types
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import CommandSchema
from pairsim.model.commands import Command, CommandError
from pairsim.model.documents.world import load_world
from pairsim.model.geometry import Box
from pairsim.model.simulation.simulator import ParameterError, Simulator, load_simulator
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from tests.harness import ROOT

PAGE = (Path(__file__).parents[3] / "docs" / "simulators.md").read_text()
BOX = Box((0, 0, 0), (10, 10, 10))


def blocks(language: str) -> list[str]:
    found: list[str] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    module = types.ModuleType("growth")
    monkeypatch.setitem(sys.modules, "growth", module)
    exec(compile("".join(blocks("python")), "growth.py", "exec"), module.__dict__)  # noqa: S102 - our own page
    return module


@pytest.fixture
def growth(page: types.ModuleType) -> type[Simulator]:
    return load_simulator("growth:Growth")


def area(name: str = "a", /, **parameters: float | str) -> AreaSpec:
    return AreaSpec(
        area=name, plane="p", simulator="growth:Growth", parameters=parameters, bounds=BOX, world=BOX, entities=3
    )


def begun(simulator: type[Simulator], spec: AreaSpec) -> tuple[Simulator, Table]:
    made, table = simulator(spec), Table(simulator.components)
    made.prepare()
    populate_initial(made, table, spec)
    return made, table


def water(name: str, entity: int, litres: float = 1.5) -> Command:
    return Command(name, "water", entity, {"litres": litres})


def test_the_example_grows_plants_and_takes_its_command(growth: type[Simulator]) -> None:
    simulator, table = begun(growth, area(limit=2.5))
    one = int(table.ids[1])
    commands = [water("1", one), water("2", 9)]
    assert advance(simulator, table, commands, 1, area()) == {1: "this plant does not exist"}
    assert table.column("height")[1] > 1.5 > table.column("height")[0] > 0
    advance(simulator, table, commands[:1] * 3, 2, area())
    assert table.column("height")[1] == 2.5


def test_plants_of_all_areas_have_ids_of_their_own_that_fit(growth: type[Simulator]) -> None:
    ids = [int(entity) for n in range(50) for entity in begun(growth, area(f"a{n}"))[1].ids]
    assert len(set(ids)) == len(ids) == 150
    assert 0 <= min(ids) <= max(ids) < 2**63


@pytest.mark.parametrize(("parameters", "word"), [({"size": 1.0}, "size"), ({"limit": "x"}, "limit")])
def test_the_example_refuses_wrong_parameters(
    growth: type[Simulator], parameters: dict[str, float | str], word: str
) -> None:
    with pytest.raises(ParameterError, match=word):
        growth(area(**parameters))


@pytest.mark.parametrize("hour", [6, 7, 8])
def test_the_gardener_comes_at_seven_and_returns_valid_commands(
    page: types.ModuleType, monkeypatch: pytest.MonkeyPatch, hour: int
) -> None:
    gardened = load_simulator("growth:Gardened")
    simulator, table = begun(gardened, area())
    monkeypatch.setattr(time, "localtime", lambda: time.struct_time((2000, 1, 1, hour, 0, 0, 5, 1, 0)))
    assert not list(simulator.perceive(Table(gardened.components), 1))
    table.column("height")[:] = [3, 1, 2]
    seen = list(simulator.perceive(table, 1))
    assert [command.entity for command in seen] == ([table.ids[1]] if hour == 7 else [])
    for command in seen:
        CommandSchema(gardened.components, gardened.operations).check(command)
    assert advance(simulator, table, seen, 1, area()) == {}


def test_the_check_of_takeovers_passes_the_example_and_finds_hidden_state(page: types.ModuleType) -> None:
    growth: type[Simulator] = page.Growth

    class Moody(page.Growth):  # type: ignore[name-defined, misc]
        def __init__(self, spec: AreaSpec) -> None:
            super().__init__(spec)
            self._mood = np.float32(0)

        def step(self, table: Table, batch: object, tick: int, rng: np.random.Generator) -> None:
            super().step(table, batch, tick, rng)
            self._mood += np.float32(1)
            table.column("rate")[0] = self._mood

    ticks = {tick: [water(str(tick), 7)] for tick in range(20, 90, 7)} | {19: [Command("s", "spawn", 7)]}
    digests = {page.check_takeovers(growth, area(), ticks) for _ in range(2)}
    assert len(digests) == 1
    assert page.check_takeovers(growth, area(), {}) not in digests
    with pytest.raises(AssertionError, match="a replay of the ticks up to 20"):
        page.check_takeovers(Moody, area(), ticks)


def test_the_page_as_one_file_prints_a_digest(tmp_path: Path) -> None:
    (tmp_path / "growth.py").write_text("".join(blocks("python")))
    assert "$ python growth.py\n" in PAGE
    done = subprocess.run(
        [sys.executable, "growth.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[0-9a-f]{16}\n", done.stdout)


def test_nan_is_digested_like_other_values_and_refused_in_commands(growth: type[Simulator]) -> None:
    simulator, table = begun(growth, area())
    before = table.digest()
    table.column("rate")[:] = np.nan
    assert advance(simulator, table, [], 1, area()) == {}
    assert table.digest() not in {before, begun(growth, area())[1].digest()}
    assert msgspec.json.encode(table.column("height").tolist()) == b"[null,null,null]"
    for value in (float("nan"), float("inf")):
        with pytest.raises(CommandError):
            CommandSchema(growth.components, growth.operations).check(Command("a", "set", 7, {"rate": value}))


def test_the_world_of_the_page_is_for_its_simulator(growth: type[Simulator]) -> None:
    (spec,) = load_world(blocks("yaml")[0]).specs()
    assert load_simulator(spec.simulator) is growth
    _, table = begun(growth, spec)
    assert len(table) == 500


def commands_of_the_page() -> Iterable[list[str]]:
    """Yields the words of each command that the page sends to the bed."""
    for line in re.findall(r"^\$ pairsim send bed (.*)$", PAGE, re.MULTILINE):
        yield line.split("#")[0].split()


def test_the_commands_of_the_page_are_answered_as_the_page_shows(growth: type[Simulator]) -> None:
    simulator, table = begun(growth, area(limit=3.0))
    command_schema, answers = CommandSchema(growth.components, growth.operations), []
    for tick, (op, entity, *words) in enumerate(commands_of_the_page(), 1):
        values = {name: float(value) for name, _, value in (word.partition("=") for word in words)}
        command = Command(str(tick), op, int(entity), dict(values))
        command_schema.check(command)
        answers += [advance(simulator, table, [command], tick, area()).get(0, "applied")]
    assert answers == ["applied", "applied", "this plant does not exist"]
