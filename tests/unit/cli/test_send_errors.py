"""What `pairsim send` says when commands were not acknowledged, and how to send them again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import pytest

from pairsim.client.client import AreaClient
from pairsim.client.errors import Overloaded, Unavailable
from pairsim.model.commands import Command, CommandError
from tests.unit.cli.local_world import Running, running

IMPULSE = {"op": "impulse", "entity": 1, "components": {"impulse": [1, 0, 0]}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("world")) as world:
        yield world


def lines(*items: object) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


def failing(error: Exception, after: int = 0) -> Callable[..., object]:
    calls = 0
    works = AreaClient.send

    async def fails(self: AreaClient, batch: Sequence[Command]) -> object:
        nonlocal calls
        calls += 1
        if calls > after:
            raise error
        return await works(self, batch)

    return fails


def test_commands_with_an_unknown_outcome_are_named(world: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"id-{n}" for n in range(150)]
    monkeypatch.setattr(AreaClient, "send", failing(Unavailable("not committed within 10 s", ids[100:]), after=1))
    result = world.run("send", "north", text=lines(*(IMPULSE | {"id": name} for name in ids)))
    assert result.exit_code == 1
    assert "not committed within 10 s; 100 of 150 commands were committed before" in result.stderr
    assert "send them again with the same ids, so that none is applied twice: id-100, id-101" in result.stderr
    assert result.stderr.rstrip().endswith("id-119, ...")


def test_the_ids_to_send_again_are_asked_for_once(world: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Unavailable("not committed within 10 s: sim-1 has been stuck for 9 s: try again with the same ids", ["a"])
    monkeypatch.setattr(AreaClient, "send", failing(stuck))
    error = world.run("send", "north", "impulse", "1", "impulse=1,0,0").stderr
    assert "has been stuck for 9 s; send it again with --id a, so that it is not applied twice" in error


def test_the_ids_are_printed_when_commands_shall_be_sent_again(world: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    paused = Unavailable("sim-1 is paused: try again with the same ids")
    monkeypatch.setattr(AreaClient, "send", failing(paused))
    one = world.run("send", "north", "impulse", "1", "impulse=1,0,0", "--id", "mine")
    assert one.stderr.splitlines()[0] == (
        "Error: sim-1 is paused; send it again with --id mine, so that it is not applied twice"
    )
    some = world.run("send", "north", text=lines(IMPULSE | {"id": "x"}, IMPULSE | {"id": "y"}))
    assert "with the same ids, so that none is applied twice: x, y" in some.stderr


@pytest.mark.parametrize("error", [Overloaded("50000 commands wait for a tick"), CommandError("too many")])
def test_errors_of_the_client_are_sentences(world: Running, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr(AreaClient, "send", failing(error))
    result = world.run("send", "north", "despawn", "1")
    assert (result.exit_code, result.stderr) == (1, f"Error: {error}\n")
