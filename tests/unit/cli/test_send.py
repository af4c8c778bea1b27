"""`pairsim send`, as a person types it and as a program pipes into it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pairsim.cli import command_parser, load
from pairsim.client.client import AreaClient, Session
from pairsim.client.errors import Overloaded, Unavailable
from pairsim.model.commands import Command, CommandError, Result
from pairsim.model.status import Role
from pairsim_controller.local.world_status import world_status
from tests.unit.cli.local_world import Running, pairsim, running
from tests.unit.server.fakes import FakeReplica

IMPULSE = {"op": "impulse", "entity": 1, "components": {"impulse": [1, 0, 0]}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("world")) as world:
        yield world


def lines(*items: object) -> str:
    return "".join(json.dumps(item) + "\n" for item in items)


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


# --- one command


def test_a_result_is_printed_with_its_tick(world: Running, submitted: list[Command]) -> None:
    result = world.run("send", "north", "impulse", "1", "impulse=1,-2.5,1e3")
    assert result.exit_code == 0, result.output
    assert [(c.op, c.entity, c.components) for c in submitted] == [("impulse", 1, {"impulse": [1.0, -2.5, 1000.0]})]
    assert result.stdout.startswith(f"{submitted[0].id}  applied  tick ")
    assert result.stderr == ""


def test_a_url_takes_the_place_of_a_local_world(world: Running, submitted: list[Command]) -> None:
    url = world_status(world.made.world).areas[0].replicas[0].url
    assert pairsim("send", "north", "despawn", "1", "--url", url).exit_code == 0
    assert [c.op for c in submitted] == ["despawn"]


def test_the_examples_of_the_help_stand_on_lines_of_their_own() -> None:
    assert "  pairsim send west spawn 7 position=1,2,3\n" in pairsim("send", "--help").stdout


def test_a_single_number_is_not_sent_as_a_list(world: Running, submitted: list[Command]) -> None:
    assert world.run("send", "north", "set", "2", "mass=3").exit_code == 0
    assert submitted[0].components == {"mass": 3.0}


def test_a_rejected_command_is_printed_with_its_reason(world: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_parser, "new_id", lambda: "mine")
    world.made.replicas["a"].rejects["mine"] = "entity 9 does not exist"
    result = world.run("send", "north", "despawn", "9")
    assert result.exit_code == 1
    assert result.stdout.startswith("mine  rejected  tick ")
    assert result.stdout.endswith("entity 9 does not exist\n")


@pytest.mark.parametrize(
    "words",
    [
        ["impulse"],
        ["impulse", "x"],
        ["impulse", "1.5"],
        ["impulse", "²"],
        ["impulse", "9" * 5000],
        ["impulse", "1", "impulse"],
        ["impulse", "1", "impulse="],
        ["impulse", "1", "impulse=a,b,c"],
        ["impulse", "1", "impulse=1,,3"],
        ["impulse", "1", "impulse=nan,0,0"],
        ["impulse", "1", "impulse=inf,0,0"],
        ["impulse", "1", "impulse=1e999,0,0"],
        ["impulse", "1", "=3"],
        ["impulse", "1", "impulse=1,0,0", "impulse=2,0,0"],
        ["impulse\udcff", "1"],
        ["impulse", "1", "im\udcffpulse=1,0,0"],
        ["impulse", "-1"],
    ],
    ids=str,
)  # fmt: skip
def test_words_that_do_not_form_a_command_are_a_usage_error(
    world: Running, submitted: list[Command], words: list[str]
) -> None:
    result = world.run("send", "north", *words)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert submitted == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["explode", "1"], "the operation 'explode' is unknown: use one of despawn, set, spawn, impulse"),
        (["", "1"], "the operation '' is unknown"),
        (["impulse", "1"], "impulse takes impulse, not nothing"),
        (["impulse", "1", "impulse=1"], "impulse takes a list of 3 numbers, not 1.0"),
        (["impulse", "1", "impulse=1,2"], "impulse takes a list of 3 numbers"),
        (["set", "1", "colour=3"], "colour"),
        (["impulse", str(2**63), "impulse=1,0,0"], "an entity's id is within 0 to 2**63 - 1"),
        (["impulse", "9" * 90, "impulse=1,0,0"], "an entity's id is within 0 to 2**63 - 1"),
    ],
    ids=str,
)  # fmt: skip
def test_a_command_that_the_area_refuses_is_explained(
    world: Running, submitted: list[Command], words: list[str], sentence: str
) -> None:
    result = world.run("send", "north", *words)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert submitted == []


def test_a_command_may_have_an_id_of_its_own(world: Running, submitted: list[Command]) -> None:
    result = world.run("send", "north", "impulse", "1", "impulse=1,0,0", "--id", "own-id")
    assert result.stdout.startswith("own-id  applied  tick ")
    assert [c.id for c in submitted] == ["own-id"]
    assert "--id is the id of a single command" in world.run("send", "north", "--id", "own-id", text="").stderr
    assert "has 1 to 64 characters" in world.run("send", "north", "despawn", "1", "--id", "").stderr


def test_an_entity_that_is_not_a_number_is_named(world: Running) -> None:
    assert "ENTITY is a whole number of 0 or more, not 'seven'" in world.run("send", "north", "feed", "seven").stderr


def test_an_unknown_area_is_reported_with_the_known_ones(world: Running) -> None:
    result = world.run("send", "south", "despawn", "1")
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: the area 'south' is unknown: the world on port {world.port} has north\n",
    )


def test_an_area_without_replicas_is_reported(tmp_path: Path) -> None:
    with running(tmp_path) as world:
        world.do(
            lambda: [r.become(Role.SPARE) for r in world.made.replicas.values()],
            lambda: not any(world.made.world.find_replica("north", role) for role in ("active", "passive")),
        )
        result = world.run("send", "north", "despawn", "1")
        assert result.exit_code == 1
        assert "north takes no commands at the moment: no replica can be reached; try again" in result.stderr


def test_a_batch_that_was_not_committed_is_explained_by_the_state_of_the_area(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_client: AreaClient, _commands: list[Command]) -> list[Result]:
        raise Unavailable("not committed")

    monkeypatch.setattr(AreaClient, "send", fail)
    with running(tmp_path) as world:
        world.do(
            lambda: [r.become(Role.PASSIVE) for r in world.made.replicas.values()],
            lambda: world.made.world.find_replica("north", "active") is None,
        )
        result = world.run("send", "north", "despawn", "1")
    assert result.exit_code == 1
    assert result.stderr == "Error: not committed\nnorth: a is passive, and no replica is active\n"


@pytest.mark.parametrize(
    "words",
    [
        ["despawn", "1", "--file", "x"],
        ["despawn", "1", "--rate", "5"],
        ["--rate", "5", "--file", "x"],
        ["despawn", "1", "--count", "5"],
        ["--rate", "0"],
        ["--rate", "-1"],
        ["--rate", "nan"],
        ["--rate", "inf"],
        ["--rate", "1e6"],
        ["--rate", "many"],
        ["--rate", "5", "--seconds", "-1"],
        ["--rate", "5", "--seconds", "nan"],
        ["--rate", "5", "--seconds", "inf"],
        ["--rate", "5", "--seconds", "1e9"],
        ["--rate", "5", "--count", "0"],
        ["despawn", "1", "--url", "west"],
        ["despawn", "1", "--url", "ftp://west"],
        ["despawn", "1", "--url", "http://[::1"],
        ["despawn", "1", "--url", "http://::1:8080"],
    ],
    ids=str,
)  # fmt: skip
def test_options_that_contradict_each_other_are_a_usage_error(
    world: Running, submitted: list[Command], words: list[str]
) -> None:
    assert world.run("send", "north", *words).exit_code == 2
    assert submitted == []


# --- lines


def test_lines_are_sent_in_their_order(world: Running, submitted: list[Command], tmp_path: Path) -> None:
    items = [{"op": "set", "entity": n, "components": {"mass": n}, "id": f"line-{n}"} for n in range(250)]
    (tmp_path / "lines").write_text(lines(*items))
    result = world.run("send", "north", "--file", str(tmp_path / "lines"))
    assert result.exit_code == 0, result.output
    assert [c.id for c in submitted] == [item["id"] for item in items]
    shown = result.stdout.splitlines()
    assert [line.split()[0] for line in shown[:20]] == [f"line-{n}" for n in range(20)]
    assert shown[20:] == ["... 250 applied"]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n", ""])
def test_commands_can_come_from_standard_input(world: Running, submitted: list[Command], ending: str) -> None:
    text = "\ufeff" + json.dumps(IMPULSE) + "\n \n" + json.dumps(IMPULSE) + ending
    result = world.run("send", "north", text=text)
    assert result.exit_code == 0, result.output
    assert len(submitted) == 2
    assert submitted[0].id != submitted[1].id


def test_the_same_lines_with_ids_run_once(world: Running, submitted: list[Command]) -> None:
    text = lines(IMPULSE | {"id": "mine-1"}, IMPULSE | {"id": "mine-2"})
    first, second = (world.run("send", "north", text=text) for _ in range(2))
    assert [line.split()[1] for line in first.stdout.splitlines()] == ["applied", "applied"]
    assert [line.split()[1] for line in second.stdout.splitlines()] == ["duplicate", "duplicate"]
    assert second.exit_code == 0


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff"])
def test_an_empty_input_is_an_error(world: Running, submitted: list[Command], tmp_path: Path, text: str) -> None:
    result = world.run("send", "north", text=text)
    assert (result.exit_code, result.stdout, submitted) == (1, "", [])
    assert result.stderr == "Error: no commands were given: standard input is empty\n"
    path = tmp_path / "commands.jsonl"
    path.write_text(text)
    assert f"no commands were given: {path} is empty" in world.run("send", "north", "--file", str(path)).stderr


@pytest.mark.parametrize(
    "third",
    [
        b"{",
        b"[]",
        b'{"op": "set"}',
        b'{"op": "set", "entity": "7"}',
        b'{"op": "set", "entity": 1, "components": {"mass": "7"}}',
        b'{"op": "set", "entity": 1, "components": {"mass": NaN}}',
        b'{"op": "set", "entity": 1, "component": {}}',
        b'{"op": "\xff", "entity": 1}',
        b'{"op": "\\ud800", "entity": 1}',
        b'{"op": "set", "entity": 1, "id": "\\ud800"}',
        b'{"op": "set", "entity": 1, "components": {"\\ud800": 1}}',
        b'{"x": ' + b"[" * 100_000,
        b"set 1 mass=7",
        b"\x00",
    ],
    ids=lambda line: repr(line[:50]),
)  # fmt: skip
def test_an_invalid_line_is_reported_by_its_number_and_nothing_is_sent(
    world: Running, submitted: list[Command], third: bytes
) -> None:
    good = json.dumps(IMPULSE).encode()
    result = world.run("send", "north", text=b"\n".join([good, b"", third, good]))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: line 3 is not a valid command: ")
    assert result.stderr.endswith("; nothing was sent\n")
    assert submitted == []


def test_a_line_that_the_area_refuses_is_reported_by_its_number(world: Running, submitted: list[Command]) -> None:
    wrong = {"op": "impulse", "entity": 1, "components": {"impulse": [1]}}
    result = world.run("send", "north", text=lines(*[IMPULSE] * 120, wrong))
    assert result.exit_code == 1
    assert "line 121: impulse takes a list of 3 numbers, not [1.0]" in result.stderr
    assert "100 of 121 commands were committed before" in result.stderr
    assert "... 100 applied" in result.stdout, "what became of those is told as well"
    assert len(submitted) == 100


def test_a_missing_file_is_reported(world: Running, tmp_path: Path) -> None:
    result = world.run("send", "north", "--file", str(tmp_path / "nosuch"))
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: cannot read {tmp_path}/nosuch: No such file or directory\n",
    )


def test_a_folder_in_place_of_a_file_is_reported(world: Running, tmp_path: Path) -> None:
    result = world.run("send", "north", "--file", str(tmp_path))
    assert (result.exit_code, result.stderr) == (1, f"Error: cannot read {tmp_path}: Is a directory\n")


@pytest.mark.parametrize("endless", [True, False])
def test_a_huge_file_is_refused_before_it_fills_the_memory(
    world: Running, submitted: list[Command], tmp_path: Path, endless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("/dev/zero")
    if not endless:
        path = tmp_path / "huge"
        with path.open("wb") as file:
            os.truncate(file.fileno(), 10 * 2**30)
    monkeypatch.setattr(command_parser, "MAX_BYTES", 2**20)
    result = world.run("send", "north", "--file", str(path))
    assert (result.exit_code, result.stderr) == (1, f"Error: {path} has over 1 MiB: split it; nothing was sent\n")
    assert submitted == []


def test_a_closed_standard_input_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    message = "standard input is closed: give a command, or --file"
    with pytest.raises(command_parser.click.ClickException, match=message):
        command_parser.read_commands(None)


# --- a load


def test_a_load_is_counted(world: Running, submitted: list[Command]) -> None:
    result = world.run("send", "north", "--rate", "2000", "--count", "250")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        "250 sent, 250 acknowledged, 250 applied, 0 rejected, 0 duplicate, 0 refused, 0 lost\n"
    )
    assert "ms (p99)" in result.stdout
    assert len(submitted) == 250
    assert {c.entity for c in submitted} <= {1, 2, 3}


def test_a_load_has_at_least_one_command(world: Running, submitted: list[Command]) -> None:
    assert world.run("send", "north", "--rate", "1", "--seconds", "0").exit_code == 0
    assert len(submitted) == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Unavailable("nobody answers"), "lost"),
        (Overloaded("too many wait"), "refused"),
        (CommandError("no impulse here"), "refused"),
        (OSError("too many open files"), "refused"),
    ],
)
def test_a_load_that_fails_reports_its_reason(
    world: Running, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    async def fails(self: Session, batch: Sequence[Command]) -> object:
        raise error

    monkeypatch.setattr(Session, "send", fails)
    result = world.run("send", "north", "--rate", "100", "--count", "5")
    assert result.exit_code == 1
    assert f"5 {kind}" in result.stdout
    assert result.stderr == f"Error: some impulses were not acknowledged: {error}\n"


def test_a_load_for_an_area_without_entities_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as world:
        for replica in world.made.replicas.values():
            replica.table.despawn(replica.table.ids[:])
        result = world.run("send", "north", "--rate", "5")
        assert (result.exit_code, result.stderr) == (
            1,
            "Error: the area has no entities to send impulses to: spawn some\n",
        )


def test_an_interrupted_load_prints_its_counts(world: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 0

    def enough(entity: int) -> Command:
        nonlocal rounds
        rounds += 1
        if rounds > 20:
            raise KeyboardInterrupt
        return Command(f"nudge-{rounds}", "impulse", entity, {"impulse": [0.0, 0.0, 0.0]})

    monkeypatch.setattr(load, "_impulse", enough)
    result = world.run("send", "north", "--rate", "200", "--seconds", "60")
    assert result.exit_code == 1
    assert result.stdout.startswith("20 sent, ")
    assert "Aborted" in result.stderr
