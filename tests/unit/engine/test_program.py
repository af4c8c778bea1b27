"""Simulators that are programs: where their files are searched, and the sentences about files that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from pairsim.engine.host.program import find_program
from pairsim.engine.in_process import load_in_process
from pairsim.engine.port import EngineRaisedError
from pairsim.model.simulation.module_names import is_program
from pairsim.model.simulation.simulator import SimulatorNotFoundError, load_simulator
from pairsim.replication.process.engines import start_engine_process
from tests.unit.model.counting import area


def program(path: Path, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def refusal(simulator: str) -> str:
    with pytest.raises(SimulatorNotFoundError) as refused:
        find_program(simulator)
    return str(refused.value)


def test_a_program_is_told_from_a_class_by_its_prefix() -> None:
    assert is_program("exec:/opt/bouncing")
    assert not is_program("execute:Class")
    assert not is_program("physics")


def test_an_absolute_path_is_used_as_it_is(tmp_path: Path) -> None:
    assert find_program(f"exec:{program(tmp_path / 'one')}") == tmp_path / "one"


def test_a_relative_path_is_searched_where_modules_are_and_not_in_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, plugins = tmp_path / "here", tmp_path / "plugins"
    program(here / "engines" / "one")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", str(program(tmp_path / "bin" / "two").parent))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(tmp_path / "nowhere"), str(plugins)]))
    assert find_program("exec:engines/one") == here / "engines" / "one"
    program(plugins / "engines" / "one")
    assert find_program("exec:engines/one") == plugins / "engines" / "one"
    told = refusal("exec:two")
    assert told.startswith(
        f"the simulator 'exec:two' cannot be started: two is in none of the folders {tmp_path / 'nowhere'}, {plugins}, "
    )
    assert told.endswith(f", {here}")


def test_a_file_that_cannot_be_executed_is_named(tmp_path: Path) -> None:
    plain = program(tmp_path / "plain", 0o644)
    begin = f"the simulator 'exec:{plain}' cannot be started: {plain}"
    assert refusal(f"exec:{plain}") == f"{begin} is not executable: run chmod +x {plain}"
    assert refusal(f"exec:{tmp_path}").endswith(f"{tmp_path} is not a file")
    assert refusal(f"exec:{tmp_path / 'gone'}").endswith(f"{tmp_path / 'gone'} does not exist")
    assert refusal("exec:") == "the simulator 'exec:' has no path: write exec:/path/to/program"
    assert "has no path" in refusal("exec:/a\0b")


def test_an_engine_whose_program_is_missing_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(area(), simulator=f"exec:{tmp_path / 'gone'}")
    with pytest.raises(EngineRaisedError, match=r"gone' cannot be started: .*/gone does not exist$"):
        start_engine_process(spec, tmp_path, lambda _reason: None)


def test_a_program_is_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exec.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SimulatorNotFoundError, match="'exec:Class' is a program, not a class that can be imported"):
        load_simulator("exec:Class")
    with pytest.raises(EngineRaisedError, match="is a program"):
        load_in_process(msgspec.structs.replace(area(), simulator="exec:/bin/true"))
