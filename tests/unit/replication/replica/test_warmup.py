"""A process refuses an area whose simulator raises before its replica votes, with a sentence, and stays a spare."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import msgspec
import numpy as np
import pytest
import structlog

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.table import Table
from pairsim.model.status import Role
from pairsim.replication.service import RefusedError
from tests.unit.model.counting import Counting, area
from tests.unit.replication.process.processes import assignment, simulator_process


class Unprepared(Counting):
    def prepare(self) -> None:
        with Path("model.bin").open():
            pass


class Misspelt(Counting):
    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.column("sped")[:] = 0


class Crowded(Counting):
    """A simulator that fails only with more entities than the scratch area has, so when the real area is populated."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        for _ in range(1 + (self._entities > 64)):
            super().populate(table, rng)


class Clashing(Counting):
    operations = (Operation("set"),)


class Cancelled(Counting):
    def prepare(self) -> None:
        raise asyncio.CancelledError


class Leaving(Counting):
    def prepare(self) -> None:
        raise SystemExit(3)


def place(kind: type, method: str, line: int) -> str:
    return f"{__file__}:{inspect.getsourcelines(getattr(kind, method))[1] + line}"


def refusal(folder: Path, spec: AreaSpec) -> str:
    """Returns the sentence with which a process refuses the area; the process must take another area then."""
    with simulator_process(folder) as process:
        with pytest.raises(RefusedError) as refused:
            process.assign(assignment(process, spec))
        assert process.status().role is Role.SPARE
        assert not list(folder.glob("areas/*/*.json")), "a restart would try the refused area again"
        process.assign(assignment(process, area(4)))
        assert process.status().area == "a"
    return str(refused.value)


@pytest.mark.parametrize(
    ("kind", "error", "method", "line"),
    [
        (Unprepared, "FileNotFoundError: [Errno 2] No such file or directory: 'model.bin'", "prepare", 1),
        (Misspelt, "KeyError: 'sped'", "step", 1),
        (Crowded, "ValueError: an entity with one of these ids exists already", "populate", 2),
        (Leaving, "SystemExit: 3", "prepare", 1),
        (Cancelled, "CancelledError", "prepare", 1),
    ],
)
def test_the_refusal_names_the_error_and_the_simulators_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, error: str, method: str, line: int
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{__name__}:{kind.__name__}"
    with structlog.testing.capture_logs() as logs:
        sentence = refusal(tmp_path, msgspec.structs.replace(area(100), simulator=name))
    where = place(kind, method, line)
    if kind is Crowded:  # its innermost line is that of its base
        where = place(Counting, "populate", 1).replace(__file__, inspect.getfile(Counting))
    assert sentence == f"the simulator {name} raised {error} at {where}"
    assert [entry["event"] for entry in logs if "exc_info" in entry] == ["the simulator cannot simulate this area"]


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (area(2, speed=1), "counting takes the parameter pace alone"),
        (msgspec.structs.replace(area(), simulator="nowhere:Class"), "the simulator 'nowhere:Class' cannot be loaded"),
        (msgspec.structs.replace(area(), simulator=f"{__name__}:Clashing"), "every area has the operation 'set'"),
    ],
)
def test_a_refusal_of_the_simulator_itself_is_kept_as_it_is(tmp_path: Path, spec: AreaSpec, sentence: str) -> None:
    assert sentence in refusal(tmp_path, spec)
