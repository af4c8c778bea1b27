"""`pairsim send` without an area: each command goes to the area of its entity."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from pairsim.client.client import AreaClient
from pairsim.client.world.client import WorldClient
from pairsim.model.authority import PlaneMap, WorldMap
from pairsim.model.commands import Command, Result, Status
from pairsim_controller.local.world_status import world_status
from tests.unit.cli.local_world import Running, running
from tests.unit.client.fake_areas import cell
from tests.unit.server.fakes import FakeReplica

command_module = importlib.import_module("pairsim.cli.send")  # the package has the command under this name


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Command]:
    """Whatever reaches a replica."""
    taken: list[Command] = []
    submit = FakeReplica.submit

    def take(self: FakeReplica, batch: Sequence[Command], done: Callable[..., None]) -> None:
        taken.extend(batch)
        submit(self, batch, done)

    monkeypatch.setattr(FakeReplica, "submit", take)
    return taken


def lines(*items: object) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


@pytest.fixture
def known_map(world: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The areas north, which the world has, and south, which nobody serves."""
    url = world_status(world.made.world).areas[0].replicas[0].url
    cells = (cell(1, "north", url), cell(2, "south", "http://127.0.0.1:9"))
    known = WorldMap((PlaneMap(plane="physics", version=1, cells=cells),))
    monkeypatch.setattr(type(world.made.world), "maps", property(lambda _world: known))


@pytest.mark.usefixtures("known_map")
def test_without_an_area_a_command_goes_to_that_of_its_entity(world: Running, submitted: list[Command]) -> None:
    result = world.run("send", "spawn", "8", "position=1,2,3")
    assert result.exit_code == 0, result.output
    assert [(c.op, c.entity, c.attempt) for c in submitted] == [("spawn", 8, 1)]
    assert result.stdout.startswith(f"{submitted[0].id}  applied  tick ")
    result = world.run("send", text=lines({"op": "spawn", "entity": 9, "components": {"position": [1, 2, 3]}}))
    assert (result.exit_code, [c.entity for c in submitted]) == (0, [8, 9])
    result = world.run("send", "spawn", "8", "position=99,2,3", "--id", "mine")
    assert result.exit_code == 1
    assert "Error: no area's cell holds the position [99.0, 2.0, 3.0]" in result.stderr


@pytest.mark.usefixtures("known_map")
def test_the_results_of_the_areas_that_answered_are_printed(
    world: Running, submitted: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_module, "WorldClient", partial(WorldClient, deadline=0.3))
    both = [{"op": "spawn", "entity": i, "id": f"c{i}", "components": {"position": [10 * i, 2, 3]}} for i in (0, 1)]
    result = world.run("send", text=lines(*both))
    assert result.exit_code == 1
    assert result.stdout.startswith("c0  applied  tick ")
    assert "1 of 2 commands have results" in result.stderr
    assert [c.id for c in submitted] == ["c0"]


def test_a_result_of_an_entity_in_another_area_says_what_to_do(world: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    async def moved(_client: AreaClient, commands: Sequence[Command]) -> list[Result]:
        return [Result(commands[0].id, Status.MOVED, 5, area="south")]

    monkeypatch.setattr(AreaClient, "send", moved)
    result = world.run("send", "north", "despawn", "9", "--id", "mine")
    assert (result.exit_code, result.stdout) == (
        1, "mine  moved  tick 5  the entity is in south: send without an area\n"
    )  # fmt: skip


def test_a_load_needs_an_area(world: Running) -> None:
    result = world.run("send", "--rate", "10")
    assert (result.exit_code, "give the AREA" in result.stderr) == (2, True)
