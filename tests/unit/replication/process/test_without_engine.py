"""Processes whose simulator cannot be loaded hold their area all the same: the state is on disk, or on a peer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pairsim.engine.in_process import load_in_process
from pairsim.engine.port import Engine, EngineRaisedError
from pairsim.model.area import AreaSpec
from pairsim.model.commands import Command
from pairsim.model.simulation.interface import interface_of
from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase
from pairsim.replication.checkpoint.schema_file import stored_interface, write_interface
from pairsim.replication.process import engines
from pairsim.replication.process.group_resources import area_folder
from pairsim.replication.process.simulator import SimulatorProcess
from pairsim.replication.service import Committed, ReplicaError, SimulatorError
from tests.unit.model.counting import Counting, area
from tests.unit.replication.process import test_trio
from tests.unit.replication.process.test_trio import ThreadedTrio, until

SENTENCE = "the simulator counting raised SyntaxError: half an edit at /plugins/counting.py:12"


class HalfEdited:
    """Starts engines here, except in the processes whose file of the simulator is broken."""

    def __init__(self) -> None:
        self.broken: set[str] = set()

    def __call__(self, spec: AreaSpec, data: Path, _on_end: Callable[[str], None]) -> Engine:
        if data.name in self.broken:
            raise EngineRaisedError(SENTENCE)
        return load_in_process(spec)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> HalfEdited:
    files = HalfEdited()
    monkeypatch.setattr(engines, "_FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(test_trio, "make_simulator", lambda given: SimulatorProcess(given, None, files))
    return files


@pytest.fixture
def trio(tmp_path: Path, files: HalfEdited) -> Iterator[ThreadedTrio]:
    trio = ThreadedTrio(tmp_path, area(5))
    try:
        trio.assign(trio.assignment(1, "a", "b"))
        until(trio.active)
        yield trio
    finally:
        trio.close()


def says_that_its_engine_cannot_start(status: ReplicaStatus) -> bool:
    simulator = status.simulator
    return simulator is not None and simulator.start_failed and simulator.about == SENTENCE


def test_a_newcomer_joins_without_an_engine_and_gets_one_when_the_file_is_mended(
    trio: ThreadedTrio, files: HalfEdited
) -> None:
    active = trio.active()
    assert active is not None
    lost = "b" if active == "a" else "a"
    trio.simulators[lost].close()
    files.broken = {"c"}
    following = trio.assignment(2, active, "c", ("c",))

    def joined() -> bool:
        trio.assign(following)
        return trio.simulators["c"].status().role is Role.PASSIVE

    trio.simulators["c"].assign(following)
    del trio.simulators[lost]
    until(joined)
    newcomer, leader = trio.simulators["c"], trio.simulators[active]
    status = newcomer.status()
    assert says_that_its_engine_cannot_start(status)
    assert (status.generation, status.in_sync, status.engine_pid) == (2, True, None)
    assert leader.status().role is Role.ACTIVE
    assert not leader.status().peer_in_sync, "the area is not redundant: nothing could compute in place of the active"
    schema = newcomer.command_schema()
    assert schema is not None
    assert set(schema.operations) == {"add", "paint"}, "commands that clients send to it are checked"
    tick = newcomer.status().synced_tick
    until(lambda: newcomer.status().synced_tick > tick + 5)
    assert newcomer.status().divergences == 0
    files.broken = set()
    until(lambda: trio.active() == active)
    assert newcomer.status().simulator is None


def test_both_replicas_come_back_with_their_state_and_wait_for_mended_files(
    trio: ThreadedTrio, files: HalfEdited
) -> None:
    active = trio.active()
    assert active is not None
    answers: list[Committed | ReplicaError] = []
    trio.simulators[active].submit([Command("c1", "add", 3, {"amount": 7000})], answers.append)
    until(lambda: answers)
    files.broken = {"a", "b"}
    tick = trio.simulators[active].status().tick
    for name in "ab":
        trio.simulators[name].close()
    for name in "ab":
        trio.simulators[name] = test_trio.make_simulator(trio._settings[name])
    until(lambda: any(trio.simulators[name].status().role is Role.ACTIVE for name in "ab"))
    leader = next(trio.simulators[name] for name in "ab" if trio.simulators[name].status().role is Role.ACTIVE)
    assert says_that_its_engine_cannot_start(leader.status())
    assert leader.status().pace == 0.0
    count, at = leader.read(lambda table, at: (int(table.column("count")[3]), at.tick), 5.0)
    assert at >= tick
    assert count >= 7000
    files.broken = set()
    until(trio.active)
    until(lambda: max(trio.simulators[name].status().tick for name in "ab") > at + 5)


def test_an_area_that_has_no_state_yet_needs_an_engine(tmp_path: Path, files: HalfEdited) -> None:
    trio = ThreadedTrio(tmp_path, area(5))
    try:
        files.broken = {"a"}
        with pytest.raises(SimulatorError, match="half an edit"):
            trio.simulators["a"].assign(trio.assignment(1, "a", "b"))
        simulator = trio.simulators["a"].status().simulator
        assert simulator is not None
        assert simulator.phase is SimulatorPhase.REFUSED
    finally:
        trio.close()


def test_a_newcomer_whose_peer_does_not_answer_is_refused(trio: ThreadedTrio, files: HalfEdited) -> None:
    files.broken = {"c"}
    for name in "ab":
        trio.simulators[name].close()
    with pytest.raises(SimulatorError, match="half an edit"):
        trio.simulators["c"].assign(trio.assignment(2, "a", "c", ("c",)))


def test_the_interface_is_written_and_read_again(tmp_path: Path) -> None:
    assert stored_interface(tmp_path) is None
    known = interface_of(Counting)
    write_interface(tmp_path, known)
    assert stored_interface(tmp_path) == known
    (tmp_path / "operations.json").write_text("[1]")
    assert stored_interface(tmp_path) is None, "the other replica is asked then"
    (tmp_path / "operations.json").unlink()
    assert stored_interface(tmp_path) is None, "an earlier release wrote none"
    fewer = interface_of(type("Fewer", (Counting,), {"operations": Counting.operations[:1]}))
    write_interface(tmp_path, fewer)
    assert stored_interface(tmp_path) == fewer, "operations may change with the code"


def test_the_folder_of_an_area_names_the_operations(trio: ThreadedTrio, tmp_path: Path) -> None:
    stored = json.loads((area_folder(tmp_path / "a", "a") / "operations.json").read_text())
    assert [operation["name"] for operation in stored] == ["add", "paint"]
