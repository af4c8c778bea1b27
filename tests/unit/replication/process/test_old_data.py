"""A simulator process on the files of an area that was simulated with other columns, or that lost its states."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest

from pairsim.model.state.schema import Component, Schema
from pairsim.model.status import Role
from pairsim.replication.checkpoint.folder import CheckpointFolder
from pairsim.replication.log.records import Open
from pairsim.replication.process import area_runtime, group_resources
from pairsim.replication.process.group_resources import FileGroupResources, PeerRouter, area_folder
from pairsim.replication.process.simulator import SimulatorProcess
from pairsim.replication.raft.storage import JournalError
from pairsim.replication.service import NoStateError, RefusedError, SimulatorError
from pairsim.replication.sync.state import state_digest
from tests.unit.model.counting import Counting, area, populated
from tests.unit.replication.log.test_tick_log import apply, new, tick
from tests.unit.replication.process.processes import assignment, make_simulator, settings
from tests.unit.replication.tables import BORDERS

COLUMNS = tuple(Counting.components)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """A data folder in which a process has joined an area, and has written one state of it."""
    process = make_simulator(settings("a", tmp_path))
    process.assign(assignment(process, area()))
    process.close()
    folder = CheckpointFolder(area_folder(tmp_path, "a"), "a", Counting.components)
    _simulator, table, _spec = populated()
    folder.write(folder.begin(table, BORDERS, 5, 1, state_digest(table, BORDERS)))
    return tmp_path


def restart(folder: Path, monkeypatch: pytest.MonkeyPatch, columns: Iterable[Component]) -> SimulatorProcess:
    monkeypatch.setattr(Counting, "components", Schema(tuple(columns)))
    return make_simulator(settings("a", folder))


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ((*COLUMNS, Component("heat", "int8")), "the column 'heat' of the simulator is not in the state"),
        (COLUMNS[:2], "the column 'weight' of the state is not in the simulator"),
        (
            (*COLUMNS[:2], Component("weight", "int32")),
            "the column 'weight' is float32 in the state and int32 in the simulator",
        ),
    ],
)
def test_files_with_other_columns_are_refused_before_the_process_votes(
    used: Path,
    monkeypatch: pytest.MonkeyPatch,
    columns: tuple[Component, ...],
    sentence: str,
) -> None:
    before = content(used)
    monkeypatch.setattr(Counting, "step", lambda *_arguments: None)  # the scratch area has the new columns
    monkeypatch.setattr(Counting, "populate", lambda *_arguments: None)
    with pytest.raises(SimulatorError) as refused:
        restart(used, monkeypatch, columns)
    assert sentence in str(refused.value)
    assert "The data stays as it is: put the simulator back as it was, or give another --data folder" in str(
        refused.value
    )
    assert content(used) == before


def test_files_of_a_release_that_stored_no_schema_are_compared_by_their_newest_state(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (area_folder(used, "a") / "schema.json").unlink()
    before = content(used)
    monkeypatch.setattr(Counting, "step", lambda *_arguments: None)
    with pytest.raises(SimulatorError, match="the column 'heat' of the simulator is not in the state"):
        restart(used, monkeypatch, (*COLUMNS, Component("heat", "int8")))
    with pytest.raises(SimulatorError, match="'count' has 8 bytes for each entity in the state and 4 in the"):
        restart(used, monkeypatch, (Component("count", "int32"), *COLUMNS[1:]))
    assert content(used) == before


def test_files_with_the_same_columns_are_continued_and_get_a_schema(
    used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = area_folder(used, "a") / "schema.json"
    before = schema.read_bytes()
    for left in (None, b"torn"):
        schema.unlink() if left is None else schema.write_bytes(left)
        process = restart(used, monkeypatch, COLUMNS)
        assert process.status().area == "a"
        process.close()
        assert schema.read_bytes() == before


def test_a_start_that_failed_on_a_full_disk_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    process = make_simulator(settings("a", tmp_path))
    try:
        for name, error in (("write_interface", full), ("Journal", JournalError("cannot write the journal"))):
            with monkeypatch.context() as disk:
                module = group_resources if name == "Journal" else area_runtime
                disk.setattr(module, name, Mock(side_effect=error))
                with pytest.raises(type(error)):
                    process.assign(assignment(process, area()))
            assert process.status().role is Role.SPARE
        process.assign(assignment(process, area()))
        assert process.status().area == "a"
    finally:
        process.close()


CHANGED = [
    ({"parameters": {"pace": 2}}, "parameters"),
    ({"simulator": "physics", "seed": 9}, "simulator, seed"),
]


@pytest.mark.parametrize(("changes", "fields"), CHANGED)
def test_files_of_an_area_that_was_defined_in_another_way_are_refused(
    used: Path, changes: dict[str, object], fields: str
) -> None:
    """The file that a restart resumes is gone, so the process is a spare with the old files."""
    (area_folder(used, "a") / "assignment.json").unlink()
    before = content(used)
    process = make_simulator(settings("a", used))
    try:
        assert process.status().role is Role.SPARE
        with pytest.raises(SimulatorError, match=f"was made with other values of: {fields}. The data stays as it is"):
            process.assign(assignment(process, msgspec.structs.replace(area(), **changes)))
        assert process.status().role is Role.SPARE
        assert content(used) == before
    finally:
        process.close()


@pytest.mark.parametrize(("changes", "fields"), CHANGED)
def test_a_generation_with_another_definition_is_refused(used: Path, changes: dict[str, object], fields: str) -> None:
    process = make_simulator(settings("a", used))
    try:
        following = assignment(process, msgspec.structs.replace(area(), **changes))
        following = msgspec.structs.replace(following, generation=2)
        with pytest.raises(RefusedError, match=f"simulates a with other values of: {fields}. These cannot change"):
            process.assign(following)
    finally:
        process.close()


def test_a_log_that_begins_later_is_not_continued_from_the_first_tick(used: Path) -> None:
    """The log starts after tick 80, and no state is left: the state at tick 0 would be another history."""
    folder = area_folder(used, "a")
    process = make_simulator(settings("a", used))
    assigned = assignment(process, area())
    process.close()
    log = new()
    apply(log, Open(1), *(tick(1, number, floor=min(number, 80)) for number in range(1, 101)))
    resources = FileGroupResources(folder, process.settings, PeerRouter())
    journal = resources.open_journal(assigned)
    journal.bootstrap(log.snapshot(), 1)
    journal.close()
    for state in folder.glob("checkpoint-*.bin"):
        state.write_bytes(b"damaged")
    process = make_simulator(process.settings)
    try:
        status = process.status()
        assert (status.role, status.in_sync, status.entities, status.digest) == (Role.JOINING, False, 0, "")
        assert status.problem == "none of its checkpoints can be read, so its state has to come from an active"
        with pytest.raises(NoStateError):
            process.read(lambda _table, published: published, 1.0)
    finally:
        process.close()
