"""The process of an area's engine, as the status of its node names it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from pairsim.engine.in_process import InProcessEngine, load_in_process
from pairsim.engine.port import Engine
from pairsim.model.area import AreaSpec
from pairsim.replication.process.engines import AreaEngine
from pairsim.replication.replica.engine.failures import EngineFailures
from tests.harness import spec


class Starter:
    """Starts engines here, with numbers that count up for process ids."""

    def __init__(self) -> None:
        self.ends: list[Callable[[str], None]] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, area: AreaSpec, _data: Path, on_end: Callable[[str], None]) -> InProcessEngine:
        assert self.go_on.wait(30)
        self.ends.append(on_end)
        engine = load_in_process(area)
        engine.pid = len(self.ends)
        return engine


class User:
    """What uses the engine."""

    def __init__(self) -> None:
        self.failures, self.offered = EngineFailures("area"), threading.Event()

    def offer_engine(self, _engine: Engine) -> None:
        self.offered.set()

    def on_engine_end(self, _reason: str) -> None:
        pass


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
    engine.restart()
    assert engine.pid is None
    engine.close()
