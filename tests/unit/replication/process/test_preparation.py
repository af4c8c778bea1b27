"""The start of an area: what the status of its process says meanwhile, and after a refusal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pairsim.model.status import Role, SimulatorPhase, SimulatorState
from pairsim.replication.process.preparation import RETRY_SHOWN_AFTER_SECONDS, Preparation
from pairsim.replication.service import SimulatorError
from tests.unit.model.counting import Counting, area
from tests.unit.replication.process.processes import assignment, simulator_process

GATE, REACHED = threading.Event(), threading.Event()


class Compiling(Counting):
    """Prepares until the test lets it go on."""

    def prepare(self) -> None:
        REACHED.set()
        assert GATE.wait(30)


class Lacking(Counting):
    """Needs a module that is not installed."""

    def prepare(self) -> None:
        import nowhere_to_be_found  # type: ignore[import-not-found] # noqa: F401, PLC0415


@pytest.fixture
def gate() -> Iterator[None]:
    GATE.clear()
    REACHED.clear()
    yield
    GATE.set()


def phases(preparation: Preparation, now: float) -> SimulatorPhase | None:
    state = preparation.state(now)
    return state.phase if state is not None else None


@pytest.mark.usefixtures("gate")
def test_a_process_that_compiles_says_so(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(area(), simulator=f"{__name__}:Compiling")
    with simulator_process(tmp_path) as process:
        changes: list[SimulatorState | None] = []
        process.watch(lambda _published: changes.append(process.status().simulator))
        starting = threading.Thread(target=process.assign, args=[assignment(process, spec)])
        starting.start()
        assert REACHED.wait(30)
        status = process.status()
        assert (status.role, status.area) == (Role.SPARE, "")
        assert status.simulator is not None
        assert (status.simulator.area, status.simulator.phase) == ("a", SimulatorPhase.COMPILING)
        assert status.without_area == f"a {status.simulator.predicate}"
        GATE.set()
        starting.join()
        assert (process.status().area, process.status().simulator) == ("a", None)
    first, last = changes[0], changes[-1]
    assert first is not None, "the status changes when the start begins, and when it ends"
    assert first.phase is SimulatorPhase.COMPILING
    assert last is None


def test_a_process_that_refused_says_why_until_it_has_another_area(tmp_path: Path) -> None:
    spec = msgspec.structs.replace(area(), simulator=f"{__name__}:Lacking")
    with simulator_process(tmp_path) as process:
        with pytest.raises(SimulatorError):
            process.assign(assignment(process, spec))
        state = process.status().simulator
        assert state is not None
        assert state.phase is SimulatorPhase.REFUSED
        assert "ModuleNotFoundError: No module named 'nowhere_to_be_found' at " in state.predicate
        assert f"{__file__}:" in state.predicate
        assert process.status().significant() != msgspec.structs.replace(process.status(), simulator=None).significant()
        process.assign(assignment(process, area(4)))
        assert process.status().simulator is None


def test_a_repeated_start_is_shown_when_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairsim.replication.process.preparation.monotonic", lambda: 100.0)
    preparation = Preparation(lambda: None)
    with preparation.of("a"):
        assert phases(preparation, 100.0) is SimulatorPhase.COMPILING
    assert phases(preparation, 101.0) is None
    with pytest.raises(SimulatorError), preparation.of("a"):
        raise SimulatorError("no")
    with preparation.of("a"):
        assert phases(preparation, 100.0) is SimulatorPhase.REFUSED
        assert phases(preparation, 100.0 + RETRY_SHOWN_AFTER_SECONDS) is SimulatorPhase.COMPILING
    assert phases(preparation, 100.0) is None
    with pytest.raises(SimulatorError), preparation.of("a"):
        raise SimulatorError("no")
    with preparation.of("b"):
        assert preparation.state(100.0) == SimulatorState("b", SimulatorPhase.COMPILING, 0.0)


def test_another_error_is_not_a_refusal_of_the_simulator() -> None:
    preparation = Preparation(lambda: None)
    with pytest.raises(OSError, match="disk"), preparation.of("a"):
        raise OSError("disk")
    assert preparation.state(0.0) is None
