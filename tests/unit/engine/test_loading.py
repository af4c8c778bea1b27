"""A simulator that raises at its start is refused with a sentence that names the error and the author's own line."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pairsim.engine.in_process import load_in_process
from pairsim.engine.port import EngineRaisedError
from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.table import Table
from tests.unit.model.counting import Counting, area


class Unprepared(Counting):
    def prepare(self) -> None:
        with Path("model.bin").open():
            pass


class Misspelt(Counting):
    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.column("sped")[:] = 0


class Crowded(Counting):
    """A simulator that fails only with more entities than the rehearsal has, so when the real area is populated."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        for _ in range(1 + (self._entities > 64)):
            super().populate(table, rng)


class Clashing(Counting):
    operations = (Operation("set"),)


class TwoAlike(Counting):
    operations = Counting.operations[:1] * 2  # type: ignore[assignment]


class WithoutSchema(Counting):
    components = tuple(Counting.components)  # type: ignore[assignment]


class Cancelled(Counting):
    def prepare(self) -> None:
        raise asyncio.CancelledError


class Leaving(Counting):
    def prepare(self) -> None:
        raise SystemExit(3)


class Interrupted(Counting):
    def prepare(self) -> None:
        raise KeyboardInterrupt


def named(simulator: str, **parameters: int) -> AreaSpec:
    return msgspec.structs.replace(area(100, **parameters), simulator=simulator)


def place(kind: type, method: str, line: int) -> str:
    return f"{inspect.getfile(kind)}:{inspect.getsourcelines(getattr(kind, method))[1] + line}"


def refusal(spec: AreaSpec) -> EngineRaisedError:
    """Returns the error with which the engine refuses the area or its first state."""
    with pytest.raises(EngineRaisedError) as refused:
        load_in_process(spec).populate()
    return refused.value


@pytest.mark.parametrize(
    ("kind", "error", "where"),
    [
        (
            Unprepared,
            "FileNotFoundError: [Errno 2] No such file or directory: 'model.bin'",
            place(Unprepared, "prepare", 1),
        ),
        (Misspelt, "KeyError: 'sped'", place(Misspelt, "step", 1)),
        (Crowded, "ValueError: an entity with one of these ids exists already", place(Counting, "populate", 1)),
        (Leaving, "SystemExit: 3", place(Leaving, "prepare", 1)),
        (Cancelled, "CancelledError", place(Cancelled, "prepare", 1)),
    ],
)
def test_the_refusal_names_the_error_and_the_simulators_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, error: str, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{__name__}:{kind.__name__}"
    refused = refusal(named(name))
    assert refused.sentence == f"the simulator {name} raised {error} at {where}"
    file, _, line = where.rpartition(":")
    assert f'File "{file}", line {line}, in' in refused.traceback


def test_an_area_that_fails_only_with_its_own_entities_is_loaded() -> None:
    load_in_process(named(f"{__name__}:Crowded"))


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (named("nowhere:Nothing"), "the simulator 'nowhere:Nothing' cannot be loaded: No module named 'nowhere'"),
        (named("tests.unit.model.counting:Counting", speed=1), "counting takes the parameter pace alone"),
    ],
)
def test_a_refusal_of_the_simulator_itself_is_kept_as_it_is(spec: AreaSpec, sentence: str) -> None:
    assert refusal(spec).sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (WithoutSchema, "TypeError: the components must be a Schema, not tuple"),
        (TwoAlike, "ValueError: two operations have the name 'add': give them different names"),
        (Clashing, "ValueError: every area has the operation 'set'"),
    ],
)
def test_a_class_that_does_not_fit_is_refused(kind: type, error: str) -> None:
    name = f"{__name__}:{kind.__name__}"
    assert refusal(named(name)).sentence.startswith(f"the simulator {name} raised {error}")


def test_an_interrupt_of_the_terminal_ends_the_start() -> None:
    with pytest.raises(KeyboardInterrupt):
        load_in_process(named(f"{__name__}:Interrupted"))
