"""The rehearsal in the process of an engine: what the node is answered, and what the author reads in `engine.log`."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from pairsim.engine.host.process import EngineProcess
from pairsim.engine.port import EngineRaisedError
from tests.unit.engine.rehearsed import Meddling, Pooled, Remembering, Watering
from tests.unit.model.counting import Counting, area


def place(kind: type, method: str) -> str:
    return f"{inspect.getfile(kind)}:{inspect.getsourcelines(getattr(kind, method))[1]}"


def rehearse(kind: type[Counting], log: Path) -> None:
    engine = EngineProcess(msgspec.structs.replace(area(), simulator=f"{kind.__module__}:{kind.__name__}"), log)
    try:
        engine.start(60)
    finally:
        engine.close()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("kind", "fault", "where"),
    [
        (Remembering, r"is not deterministic: .* another count in row 2 \(entity 2\), 1 in place of 3;", "step"),
        (
            Meddling,
            r"changed the table in perceive .* another count in row 0 \(entity 0\), 7 in place of 0;",
            "perceive",
        ),
    ],
)
def test_a_simulator_whose_replicas_would_differ_is_refused(
    tmp_path: Path, kind: type[Counting], fault: str, where: str
) -> None:
    with pytest.raises(EngineRaisedError, match=fault) as refused:
        rehearse(kind, tmp_path / "log")
    assert place(kind, where) in refused.value.sentence


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (Watering, ("perceived in tick 1: add.amount: ", "perceived in tick 1: add: ", "perceived in tick 1: jump: ")),
        (Pooled, ("left threads running",)),
    ],
)
def test_the_author_reads_warnings_in_the_log_of_the_engine(
    tmp_path: Path, kind: type[Counting], lines: tuple[str, ...]
) -> None:
    log = tmp_path / "log"
    rehearse(kind, log)
    wait_until(lambda: all(line in log.read_text() for line in lines), "the warnings are in the log")
    where = place(kind, "perceive" if kind is Watering else "step")
    assert len(re.findall(re.escape(f"({where})"), log.read_text())) == len(lines)
