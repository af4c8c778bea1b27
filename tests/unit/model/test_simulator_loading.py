from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pairsim.model.simulation.simulator import Simulator, SimulatorNotFoundError, load_simulator
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from pairsim.simulators.physics import Physics
from tests.unit.model.counting import area


def test_a_simulator_of_a_third_party_needs_no_change_of_pairsim() -> None:
    spec = area(2, pace=3)
    simulator = load_simulator(spec.simulator)(spec)
    assert isinstance(simulator, Simulator)
    simulator.prepare()
    table = Table(simulator.components)
    populate_initial(simulator, table, spec)
    for tick in (1, 2):
        assert advance(simulator, table, list(simulator.perceive(table, tick)), tick, spec) == {}
    assert table.column("count").tolist() == [8, 6]


def test_an_installed_simulator_is_found_by_its_name() -> None:
    assert load_simulator("physics") is Physics


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chemistry", ["'chemistry'", "physics", "module:Class"]),
        ("no_such_module:Class", ["cannot be loaded", "no_such_module"]),
        ("pairsim.model.state.table:Chair", ["cannot be loaded", "Chair"]),
        ("pairsim.model.state.table:", ["cannot be loaded"]),
        (":Table", ["cannot be loaded"]),
        (".table:Table", ["cannot be loaded"]),
        ("", ["simulator '' is unknown"]),
        (
            "pairsim.model.state.table:Table",
            ["not a simulator", "lacks components, operations, prepare, populate, step"],
        ),
        ("pairsim.model.simulation.tick:advance", ["not a simulator", "must be a class"]),
    ],
)
def test_a_name_without_a_simulator_is_explained(name: str, words: list[str]) -> None:
    with pytest.raises(SimulatorNotFoundError) as caught:
        load_simulator(name)
    for word in words:
        assert word in str(caught.value)


def test_a_file_with_the_name_of_an_installed_module_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").write_text("class Mine: pass")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with pytest.raises(SimulatorNotFoundError) as caught:
        load_simulator("queue:Mine")
    assert f"{tmp_path}/queue.py has the name of an installed module" in str(caught.value)
    assert "rename the file" in str(caught.value)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(tmp_path)])
    with pytest.raises(SimulatorNotFoundError, match="has no attribute 'Mine'"):
        load_simulator("queue:Mine")  # the folder is not searched, so its files do not matter


def test_a_file_in_a_folder_of_pythonpath_may_not_have_the_name_of_an_installed_module_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "queue.py").write_text("class Mine: pass")
        (folder / "named_alike.py").write_text("class Mine: pass")
    monkeypatch.setenv("PYTHONPATH", f"{first}:{second}")
    monkeypatch.setattr(sys, "path", [*sys.path, str(first), str(second)])
    with pytest.raises(SimulatorNotFoundError, match=f"{first}/queue.py has the name of an installed module"):
        load_simulator("queue:Mine")
    with pytest.raises(SimulatorNotFoundError, match="is not a simulator"):
        load_simulator("named_alike:Mine")  # both folders are the author's, and the first one counts
