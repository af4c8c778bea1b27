"""The process of an area's engine, as the status of its node names it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pairsim.engine.in_process import InProcessEngine, load_in_process
from pairsim.engine.port import Engine, EngineError, EngineRaisedError
from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.simulation.interface import SimulatorInterface, interface_of
from pairsim.model.state.schema import Component, Schema
from pairsim.replication.process import engines
from pairsim.replication.process.engines import AreaEngine
from pairsim.replication.replica.engine.absent import AbsentEngine
from pairsim.replication.replica.engine.failures import EngineFailures
from tests.harness import spec


class Starter:
    """Starts engines here, with numbers that count up for process ids."""

    def __init__(self) -> None:
        self.ends: list[Callable[[str], None]] = []
        self.other_columns: set[int] = set()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, area: AreaSpec, _data: Path, on_end: Callable[[str], None]) -> InProcessEngine:
        assert self.go_on.wait(30)
        self.ends.append(on_end)
        engine = load_in_process(area)
        if len(self.ends) in self.other_columns:
            engine.components = Schema((*engine.components, Component("extra", "int64")))
        engine.pid = len(self.ends)
        return engine


class User:
    """What uses the engine."""

    def __init__(self) -> None:
        self.failures, self.offered = EngineFailures("area"), threading.Event()
        self.engines: list[Engine] = []
        self.fresh: list[Engine | EngineError] = []
        self.ends: list[str] = []
        self.start_errors: list[str] = []

    def offer_engine(self, engine: Engine) -> None:
        self.engines.append(engine)
        self.offered.set()

    def offer_fresh_engine(self, engine: Engine | EngineError) -> None:
        self.fresh.append(engine)
        self.offered.set()

    def on_engine_end(self, reason: str) -> None:
        self.ends.append(reason)

    def on_change(self) -> None:
        self.start_errors.append(str(self.failures.start_error))


def test_the_process_of_an_engine_is_named_while_it_runs(tmp_path: Path) -> None:
    """The number of a process that has ended may be that of a foreign one."""
    start, user = Starter(), User()
    engine = AreaEngine(spec(entities=1), tmp_path, start)
    engine.report_to(user, lambda: None)
    assert engine.pid == 1
    start.ends[0]("was ended by SIGKILL")
    assert engine.pid is None
    start.go_on.clear()
    engine.restart()
    assert engine.pid is None
    start.go_on.set()
    assert user.offered.wait(30)
    assert engine.pid == 2
    start.ends[0]("was closed")
    assert engine.pid == 2, "the end of the engine before"
    start.go_on.clear()
    engine.restart()
    assert engine.pid is None
    engine.close()
    start.go_on.set()


def test_a_fresh_engine_takes_the_place_of_the_one_in_use(tmp_path: Path) -> None:
    start, user = Starter(), User()
    engine = AreaEngine(spec(entities=1), tmp_path, start)
    engine.report_to(user, lambda: None)
    old = engine.current
    engine.prepare()
    assert user.offered.wait(30)
    (fresh,) = user.fresh
    assert isinstance(fresh, InProcessEngine)
    assert (engine.current, engine.pid) == (old, 1), "it waits beside the one in use"
    start.ends[0]("was ended by SIGKILL")
    assert user.ends == ["was ended by SIGKILL"]
    engine.replace(old, fresh)
    assert (engine.current, engine.pid) == (fresh, 2)
    start.ends[0]("was closed")
    start.ends[1]("was ended by SIGSEGV")
    assert user.ends == ["was ended by SIGKILL", "was ended by SIGSEGV"]
    assert engine.pid is None


def test_the_end_of_a_fresh_engine_is_reported_once_it_is_used(tmp_path: Path) -> None:
    start, user = Starter(), User()
    engine = AreaEngine(spec(entities=1), tmp_path, start)
    engine.report_to(user, lambda: None)
    engine.prepare()
    assert user.offered.wait(30)
    start.ends[1]("was ended by SIGKILL")
    assert user.ends == []
    (fresh,) = user.fresh
    assert isinstance(fresh, InProcessEngine)
    engine.replace(engine.current, fresh)
    assert user.ends == ["was ended by SIGKILL"]


def test_a_fresh_engine_that_cannot_be_used_is_reported_and_not_started_again(tmp_path: Path) -> None:
    start, user = Starter(), User()
    start.other_columns = {2}
    engine = AreaEngine(spec(entities=1), tmp_path, start)
    engine.report_to(user, user.on_change)
    engine.prepare()
    assert user.offered.wait(30)
    assert [str(error) for error in user.fresh] == [
        "the engine has other components or operations now: these cannot change"
    ]
    assert user.start_errors == [], "the engine in use goes on"
    assert engine.pid == 1


def test_an_engine_with_other_columns_is_not_used_and_another_one_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_FIRST_PAUSE_SECONDS", 0.01)
    start, user = Starter(), User()
    start.other_columns = {2, 3}
    engine = AreaEngine(spec(entities=1), tmp_path, start)
    components = engine.current.components
    engine.report_to(user, user.on_change)
    engine.restart()
    assert user.offered.wait(30), "the code is put back for the fourth engine"
    assert [(offered.pid, offered.components) for offered in user.engines] == [(4, components)]
    assert user.start_errors == 2 * ["the engine has other components or operations now: these cannot change"]
    start.ends[2]("was closed")
    assert engine.pid == 4, "the end of an engine that was not used"
    engine.close()


class BrokenStarter(Starter):
    """Cannot start engines while the code is broken."""

    def __init__(self) -> None:
        super().__init__()
        self.broken, self.failed = True, threading.Event()

    def __call__(self, area: AreaSpec, data: Path, on_end: Callable[[str], None]) -> InProcessEngine:
        if self.broken:
            self.failed.set()
            raise EngineRaisedError("the simulator raised SyntaxError: half an edit")
        return super().__call__(area, data, on_end)


def test_an_engine_that_cannot_be_started_is_absent_until_its_code_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_FIRST_PAUSE_SECONDS", 0.01)
    start, user = BrokenStarter(), User()
    known = SimulatorInterface(tuple(load_in_process(spec()).components), (Operation("old"),))
    engine = AreaEngine(spec(entities=1), tmp_path, start, lambda: known)
    assert isinstance(engine.current, AbsentEngine)
    assert engine.pid is None
    start.failed.clear()
    engine.report_to(user, user.on_change)
    assert start.failed.wait(30), "another start is tried"
    assert user.engines == []
    start.broken = False
    assert user.offered.wait(30)
    assert [offered.pid for offered in user.engines] == [1]
    assert engine.current is user.engines[0]
    assert set(user.start_errors) == {"the simulator raised SyntaxError: half an edit"}
    engine.close()


def test_an_engine_whose_state_does_not_fit_takes_the_place_of_no_absent_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "_FIRST_PAUSE_SECONDS", 0.01)
    start, user = BrokenStarter(), User()
    start.other_columns = {1}
    engine = AreaEngine(spec(entities=1), tmp_path, start, lambda: interface_of(load_in_process(spec())))
    start.broken = False
    engine.report_to(user, user.on_change)
    assert user.offered.wait(30), "the code is put back for the second engine"
    assert [offered.pid for offered in user.engines] == [2]
    (error,) = user.start_errors
    assert error.endswith("the column 'extra' of the simulator is not in the state")
    engine.close()


def test_without_an_interface_an_engine_that_cannot_be_started_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineRaisedError, match="half an edit"):
        AreaEngine(spec(entities=1), tmp_path, BrokenStarter(), lambda: None)
