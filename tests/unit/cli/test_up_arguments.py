"""`pairsim up`, given something that it cannot run. Nothing of it may leave a trace in the data folder."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from pathlib import Path

import msgspec
import pytest

from pairsim.model.state.schema import Schema
from pairsim.model.state.stored_schema import encode_schema
from pairsim.system.memory import MemoryAllowance
from pairsim_controller.cli import up as up_command
from pairsim_controller.cli import world_file
from pairsim_controller.cli.world_file import area_schema, read_world
from pairsim_controller.local.data_folder import DataFolder
from tests.unit.cli.local_world import pairsim
from tests.unit.controller.builders import assignment, spec

EXAMPLE = (Path(__file__).parents[3] / "examples" / "two-areas.yaml").read_text()


def up(path: Path, *words: str, data: Path | None = None) -> tuple[int, str]:
    """Runs `pairsim up`; returns the exit code and the errors. No process may have been started."""
    data = data or path.parent / "data"
    result = pairsim("up", str(path), "--data", str(data), *words)
    assert "starting" not in result.stdout
    return result.exit_code, result.stderr


@pytest.fixture
def world(tmp_path: Path) -> Path:
    path = tmp_path / "world.yaml"
    path.write_text(EXAMPLE)
    return path


def changed(world: Path, before: str, after: str) -> Path:
    assert before in EXAMPLE
    world.write_text(EXAMPLE.replace(before, after))
    return world


def test_the_example_is_a_world(world: Path) -> None:
    assert [area.area for area in read_world(world).areas] == ["west", "east"]


def test_a_byte_order_mark_is_ignored(world: Path) -> None:
    world.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.encode())
    assert len(read_world(world).areas) == 2


def test_an_invalid_origin_is_a_usage_error(world: Path) -> None:
    code, sentence = up(world, "--allow-origin", "localhost:3000")
    assert code == 2
    assert "'localhost:3000' is not an origin" in sentence
    assert not (world.parent / "data").exists()


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    code, sentence = up(tmp_path / "nosuch.yaml")
    assert (code, sentence) == (1, f"Error: cannot read {tmp_path}/nosuch.yaml: No such file or directory\n")
    assert not (tmp_path / "data").exists()


def test_a_folder_in_place_of_a_file_is_reported(tmp_path: Path) -> None:
    assert up(tmp_path, data=tmp_path / "data") == (1, f"Error: cannot read {tmp_path}: Is a directory\n")


def test_a_file_must_be_named() -> None:
    assert pairsim("up").exit_code == 2


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no document of kind Area, and no plane says by `areas` how many it has"),
        (b"---\n---\n", "no document of kind Area"),
        (b"# nothing\n", "no document of kind Area"),
        (b"a: [\n", "line 2: the file is not valid YAML"),
        (b"\t- x", "line 1: the file is not valid YAML"),
        (b"\x00", "the file is not valid YAML"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"just words", "document 1: write a mapping with apiVersion, kind, metadata and spec"),
        (b"kind: Pod\napiVersion: v1\n", "document 1: kind must be one of Plane, Area, not 'Pod'"),
        (b"[" * 5000, "the file is nested too deeply"),
        (b"&a [*a, *a]", "the file is nested over 60 levels deep"),
    ],
    ids=lambda content: repr(content)[:30],
)
def test_an_invalid_world_file_is_reported_with_its_path(world: Path, content: bytes, sentence: str) -> None:
    world.write_bytes(content)
    code, told = up(world)
    assert code == 1
    assert str(world) in told
    assert sentence in told
    assert not (world.parent / "data").exists()


def test_a_huge_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, told = up(Path("/dev/zero"), data=tmp_path / "data")
    assert (code, told) == (1, "Error: /dev/zero is too long for a world file: it has over 4 MiB\n")


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("simulator: physics", "simulator: phisics", "Plane physics: the simulator 'phisics' is unknown: installed"),
        ("simulator: physics", "simulator: no.such:Thing", "cannot be loaded: No module named 'no'"),
        ("simulator: physics", "simulator: json:loads", "'json:loads' is not a simulator"),
        ("radius: 0.5", "radios: 0.5", "physics has no parameter 'radios': it takes collisions, radius, speed"),
        ("radius: 0.5", "radius: -1", "radius is a number of metres above 0"),
        ("radius: 0.5", "radius: .nan", "must be finite"),
        ("tickRate: 20", "tickRate: 0", "tickRate"),
        ("tickRate: 20", "tickrate: 20", "tickrate"),
        ("seed: 42", "seed: -1", "seed"),
        ("entities: 2000", "entities: -1", "entities"),
        ("min: [100, 0, 0]", "min: [50, 0, 0]", "Area east: its bounds overlap those of area west"),
        ("max: [200, 100, 50]}\n  entities", "max: [201, 100, 50]}\n  entities", "reach beyond those of plane physics"),
        ("name: east", "name: west", "Area west: there are two of that name"),
        ("name: east", "name: East", "Area East"),
        ("plane: physics", "plane: chemistry", "its plane 'chemistry' is not in the file, there are: physics"),
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_an_simulator_error_world_is_refused_before_anything_is_created(
    world: Path, before: str, after: str, sentence: str
) -> None:
    code, told = up(changed(world, before, after))
    assert code == 1
    assert sentence in told
    assert not (world.parent / "data").exists()


def test_a_world_that_needs_more_memory_than_there_is_is_refused(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up_command, "read_memory", lambda: MemoryAllowance(500_000, 500_000))
    code, told = up(world)
    assert code == 1
    assert (
        "the areas need at least 1 MB of memory in two replicas each (west 1 MB, east 1 MB), and this machine" in told
    )
    assert not (world.parent / "data").exists()


def test_an_invalid_parameter_is_reported_once_for_all_areas(world: Path) -> None:
    _, told = up(changed(world, "radius: 0.5", "radius: -1"))
    assert told.count("radius") == 1


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("raise OSError('no licence')", "raised OSError: no licence at {file}:1"),
        ("raise SystemExit(3)", "raised SystemExit: 3 at {file}:1"),
        ("1 / 0", "raised ZeroDivisionError: division by zero at {file}:1"),
        ("import nosuch_module", "cannot be loaded: No module named 'nosuch_module'"),
        ("this is no Python", "cannot be loaded: invalid syntax"),
        ("class Mine: pass", "is not a simulator: it must be a class with"),
        ("class Mine:\n def __init__(self, area): raise KeyError('x')\n", "is not a simulator"),
    ],
)  # fmt: skip
def test_a_simulator_that_cannot_be_loaded_is_reported_with_the_line(
    world: Path, monkeypatch: pytest.MonkeyPatch, code: str, sentence: str
) -> None:
    file = world.parent / "mine_for_a_test.py"
    file.write_text(code)
    monkeypatch.chdir(world.parent)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "mine_for_a_test", raising=False)
    exit_code, told = up(changed(world, "simulator: physics", "simulator: mine_for_a_test:Mine"))
    assert exit_code == 1
    assert sentence.format(file=file) in told
    assert not (world.parent / "data").exists()


def test_a_simulator_in_the_current_folder_is_found(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world.parent / "yours_for_a_test.py").write_text("from pairsim.simulators.physics import Physics as Yours")
    monkeypatch.chdir(world.parent)
    monkeypatch.setattr(sys, "path", before := [*sys.path])
    monkeypatch.delitem(sys.modules, "yours_for_a_test", raising=False)
    assert len(read_world(changed(world, "simulator: physics", "simulator: yours_for_a_test:Yours")).areas) == 2
    assert before[-1] == str(world.parent), "installed modules come first, as in the processes of the world"


def test_a_simulator_that_is_a_program_is_found_and_not_started(world: Path) -> None:
    program, ran = world.parent / "engine", world.parent / "ran"
    file = changed(world, "simulator: physics", f"simulator: 'exec:{program}'")
    code, told = up(file)
    assert code == 1
    assert f"Plane physics: the simulator 'exec:{program}' cannot be started: {program} does not exist" in told
    program.write_text(f"#!/bin/sh\ntouch {ran}\n")
    _, told = up(file)
    assert f"{program} is not executable: run chmod +x {program}" in told
    assert not (world.parent / "data").exists()
    program.chmod(0o755)
    specs = read_world(file).areas
    assert [spec.simulator for spec in specs] == [f"exec:{program}"] * 2
    assert area_schema(specs[0]) is None
    assert not ran.exists()


def test_a_simulator_that_raises_in_init_is_reported_with_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, _area: object) -> None:
            json.loads("")

    monkeypatch.setattr(world_file, "load_simulator", lambda _name: Broken)
    told = world_file._simulator_error(spec())
    assert told.startswith("the simulator physics raised JSONDecodeError: Expecting value")
    assert f" at {__file__}:" in told, "in the simulator, not in what it calls"


# --- options


@pytest.mark.parametrize(
    "words",
    [
        ["--spares", "-1"], ["--spares", "many"], ["--port", "0"], ["--port", "65536"], ["--port", "x"],
        ["--host", "0.0.0.0"], ["--host", "::"], ["--host", "fe80::1%eth0"], ["--host", ""], ["--nosuch"],
    ],
    ids=str,
)  # fmt: skip
def test_invalid_options_are_a_usage_error(world: Path, words: list[str]) -> None:
    assert up(world, *words)[0] == 2
    assert not (world.parent / "data").exists()


def test_a_taken_port_is_reported(world: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        me = f"{Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
        sentence = f"Error: port {port} is taken by {me}, which listens at it: give another one with --port\n"
        assert up(world, "--port", port) == (1, sentence)
    assert not (world.parent / "data").exists()


@pytest.mark.parametrize("host", ["203.0.113.9", "2001:db8::9", "nosuch.invalid"])
def test_an_address_of_another_machine_is_reported(world: Path, host: str) -> None:
    assert up(world, "--host", host) == (1, f"Error: --host {host} is not an address of this machine\n")
    assert not (world.parent / "data").exists()


# --- the data folder


def test_a_file_in_place_of_the_data_folder_is_reported(world: Path) -> None:
    code, told = up(world, data=world)
    assert (code, told) == (1, f"Error: cannot use the data folder {world}: File exists\n")


def test_a_data_folder_that_cannot_be_created_is_reported(world: Path) -> None:
    code, told = up(world, data=Path("/proc/nothing-can-be-made-here"))
    assert code == 1
    assert told.startswith("Error: cannot use the data folder /proc/nothing-can-be-made-here: ")


def test_a_data_folder_is_for_one_world(world: Path) -> None:
    data = world.parent / "data"
    data.mkdir()
    lock = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert up(world) == (1, f"Error: the data folder {data} is in use by another `pairsim up`\n")
    finally:
        os.close(lock)


@pytest.mark.parametrize("name", ["areas.json", "pool.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"7", b'[{"name": 7}]', b"\xff"])
def test_damaged_records_are_reported(world: Path, name: str, content: bytes) -> None:
    data = world.parent / "data"
    data.mkdir()
    (data / name).write_bytes(content)
    code, told = up(world, "--port", str(free_port()))
    assert code == 1
    assert f"{data}/{name} cannot be read" in told


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("seed: 42", "seed: 43", "was made with other values of: seed. These cannot change"),
        ("entities: 2000", "entities: 2001", "was made with other values of: entities. These cannot change"),
        ("name: west", "name: north", "or give --release to release it; backups/ keeps its last state then"),
    ],
)
def test_a_changed_world_is_reported(world: Path, before: str, after: str, sentence: str) -> None:
    data = world.parent / "data"
    recorded = msgspec.structs.replace(assignment("sim-1", "sim-2", "witness-1"), spec=read_world(world).areas[0])
    folder = DataFolder(data)
    folder.write_assignments({"west": recorded})
    os.close(folder._lock)
    code, told = up(changed(world, before, after))
    assert code == 1
    assert f"area west lives in {data}" in told
    assert sentence in told
    assert folder.assignments() == {"west": recorded}


def test_a_simulator_with_another_column_is_refused_and_nothing_is_changed(world: Path) -> None:
    data = world.parent / "data"
    recorded = msgspec.structs.replace(assignment("sim-1", "sim-2", "witness-1"), spec=read_world(world).areas[0])
    folder = DataFolder(data)
    folder.write_assignments({"west": recorded})
    os.close(folder._lock)
    stored = data / "sim-2" / "areas" / "west" / "schema.json"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(encode_schema(Schema(tuple(area_schema(recorded.spec) or ())[1:])))
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    code, told = up(world)
    assert code == 1
    assert f"the state of area west in {data} does not fit the simulator physics: the column 'position' of the" in told
    assert "put the simulator back as it was, or give another --data folder" in told
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
