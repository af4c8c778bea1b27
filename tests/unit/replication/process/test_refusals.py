"""A process refuses an area whose simulator raises before its replica votes, with a sentence, and stays a spare."""

from __future__ import annotations

import inspect
from pathlib import Path

import msgspec
import numpy as np
import pytest
import structlog

from pairsim.model.area import AreaSpec
from pairsim.model.state.table import Table
from pairsim.model.status import Role
from pairsim.replication.service import SimulatorError
from tests.unit.model.counting import Counting, area
from tests.unit.replication.process.processes import assignment, simulator_process


class Unprepared(Counting):
    def prepare(self) -> None:
        raise FileNotFoundError("model.bin")


class Leaving(Counting):
    def prepare(self) -> None:
        raise SystemExit(3)


class Crowded(Counting):
    """A simulator that fails only with more entities than the rehearsal has, so when the real area is populated."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        super().populate(table, rng)
        if self._entities > 64:
            raise ValueError("it is full")


def named(kind: type) -> AreaSpec:
    return msgspec.structs.replace(area(100), simulator=f"{__name__}:{kind.__name__}")


def raised(kind: type, method: str, line: int, error: str) -> str:
    where = f"{__file__}:{inspect.getsourcelines(getattr(kind, method))[1] + line}"
    return f"the simulator {__name__}:{kind.__name__} raised {error} at {where}"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (named(Unprepared), raised(Unprepared, "prepare", 1, "FileNotFoundError: model.bin")),
        (named(Leaving), raised(Leaving, "prepare", 1, "SystemExit: 3")),
        (named(Crowded), raised(Crowded, "populate", 3, "ValueError: it is full")),
        (area(2, speed=1), "counting takes the parameter pace alone"),
        (
            msgspec.structs.replace(area(), simulator="nowhere:Class"),
            "the simulator 'nowhere:Class' cannot be loaded: No module named 'nowhere'",
        ),
    ],
)
def test_a_process_refuses_the_area_and_takes_another_one(tmp_path: Path, spec: AreaSpec, sentence: str) -> None:
    with simulator_process(tmp_path) as process:
        with structlog.testing.capture_logs() as logs, pytest.raises(SimulatorError) as refused:
            process.assign(assignment(process, spec))
        assert str(refused.value).startswith(sentence)
        assert process.status().role is Role.SPARE
        assert not list(tmp_path.glob("areas/*/*.json")), "a restart would try the refused area again"
        process.assign(assignment(process, area(4)))
        assert process.status().area == "a"
    found = [entry["exception"] for entry in logs if entry["event"] == "the simulator cannot simulate this area"]
    assert [text.startswith("Traceback (most recent call last):\n") for text in found] == [True], "for people to read"
