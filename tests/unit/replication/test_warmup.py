"""A simulator that raises before its replica votes is refused with a sentence, and the process stays a spare."""

from __future__ import annotations

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
from tests.unit.replication.processes import assignment, host


class Unprepared(Counting):
    def prepare(self) -> None:
        with Path("model.bin").open():
            pass


class Misspelt(Counting):
    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.column("sped")[:] = 0


class Crowded(Counting):
    """More than the scratch area, so that the founding alone fails."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        for _ in range(1 + (self._entities > 64)):
            super().populate(table, rng)


class Clashing(Counting):
    operations = (Operation("set"),)


class Leaving(Counting):
    def prepare(self) -> None:
        raise SystemExit(3)


def place(kind: type, method: str, line: int) -> str:
    return f"{__file__}:{inspect.getsourcelines(getattr(kind, method))[1] + line}"


def told(folder: Path, spec: AreaSpec) -> str:
    with host(folder) as one:
        with pytest.raises(RefusedError) as refused:
            one.assign(assignment(one, spec))
        assert one.status().role is Role.SPARE
        assert not list(folder.glob("areas/*/*.json")), "a restart would fail at it"
        one.assign(assignment(one, area(4)))
        assert one.status().area == "a", "and it takes another one"
    return str(refused.value)


@pytest.mark.parametrize(
    ("kind", "error", "method", "line"),
    [
        (Unprepared, "FileNotFoundError: [Errno 2] No such file or directory: 'model.bin'", "prepare", 1),
        (Misspelt, "KeyError: 'sped'", "step", 1),
        (Crowded, "ValueError: an entity with one of these ids exists already", "populate", 2),
        (Leaving, "SystemExit: 3", "prepare", 1),
    ],
)
def test_what_a_simulator_raises_is_told_with_its_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, error: str, method: str, line: int
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{__name__}:{kind.__name__}"
    with structlog.testing.capture_logs() as logs:
        sentence = told(tmp_path, msgspec.structs.replace(area(100), simulator=name))
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
def test_what_is_wrong_with_the_area_is_told_in_the_simulators_words(
    tmp_path: Path, spec: AreaSpec, sentence: str
) -> None:
    assert sentence in told(tmp_path, spec)
