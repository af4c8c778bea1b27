"""What the rehearsal of a simulator finds before a replica votes, and with which words."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator

import msgspec
import pytest

from pairsim.engine.child import rehearsal
from pairsim.engine.child.author_threads import describe_threads
from pairsim.engine.in_process import load_in_process
from pairsim.engine.port import EngineRaisedError
from pairsim.model.area import AreaSpec
from pairsim.model.commands import Command
from tests.unit.engine.rehearsed import (
    Choosy,
    Crowding,
    Growing,
    Late,
    Listening,
    Meddling,
    Painted,
    Pooled,
    Random,
    Remembering,
    Sensing,
    Spawning,
    Starting,
    Watering,
)
from tests.unit.model.counting import area


def named(kind: type, **parameters: int) -> AreaSpec:
    return msgspec.structs.replace(area(100, **parameters), simulator=f"{kind.__module__}:{kind.__name__}")


def place(kind: type, method: str) -> str:
    return f"{inspect.getfile(kind)}:{inspect.getsourcelines(getattr(kind, method))[1]}"


def sentence(kind: type) -> str:
    """Returns the words with which the simulator is refused, after its name."""
    with pytest.raises(EngineRaisedError) as refused:
        load_in_process(named(kind))
    return refused.value.sentence.removeprefix(f"the simulator {kind.__module__}:{kind.__name__} ")


@pytest.mark.parametrize(
    ("kind", "difference"),
    [
        (Remembering, "ended with another count in row 2 (entity 2), 1 in place of 3"),
        (Painted, "ended with another colour[1] in row 1 (entity 1), 1 in place of 3"),
        (Spawning, "raised ValueError: an entity with one of these ids exists already at {step+1}"),
        (Growing, "raised ValueError: an entity with one of these ids exists already at {step+2}"),
        (Sensing, "ended with another weight in row 0 (entity 0), 0.0 in place of 0.5"),
        (Choosy, "ended with other rejected commands"),
        (Starting, "raised AttributeError: 'Starting' object has no attribute '_place' at {step+3}"),
    ],
)
def test_memory_beside_the_table_is_found_and_named(kind: type, difference: str) -> None:
    file, _, line = place(kind, "step").rpartition(":")
    for ahead in range(4):
        difference = difference.replace(f"{{step+{ahead}}}", f"{file}:{int(line) + ahead}")
    assert sentence(kind) == (
        f"is not deterministic: another instance repeated tick 3 from the same table and commands and {difference};"
        f" step at {place(kind, 'step')} may use its arguments alone, and has to keep in columns what it remembers"
    )


def test_another_first_state_is_found_and_named() -> None:
    found = sentence(Random)
    assert found.startswith("is not deterministic: another instance populated the area with another weight in row 0")
    assert found.endswith(f"; populate at {place(Random, 'populate')} may use the area and rng alone")


def test_a_change_in_perceive_is_found_and_named() -> None:
    assert sentence(Meddling) == (
        f"changed the table in perceive at {place(Meddling, 'perceive')}, or in a thread, and left another count in"
        " row 0 (entity 0), 7 in place of 0; return commands for changes"
    )


def test_a_thread_that_writes_after_the_call_is_found_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_WATCHED_SECONDS", 60.0)
    assert sentence(Late) == (
        "changed the table in threads ('finisher') after step and left another count in row 0 (entity 0), 9 in place of"
        " 0; let step wait for its threads, and let no other thread write"
    )


def test_a_thread_is_described_by_the_line_where_it_is() -> None:
    end = threading.Event()

    def wait() -> None:
        end.wait()

    threads = [threading.Thread(target=wait, name=f"waiting {number}") for number in range(7)]
    for thread in threads:
        thread.start()
    where = f"{__file__}:{inspect.getsourcelines(wait)[1] + 1}"
    described = describe_threads(threads[:1], {__file__})
    while described == "'waiting 0'":  # it has not come to its line
        described = describe_threads(threads[:1], {__file__})
    assert described == f"'waiting 0' at {where}"
    assert describe_threads(threads, ()) == ", ".join(f"'waiting {n}'" for n in range(5)) + " and 2 more"
    end.set()
    for thread in threads:
        thread.join()
    assert describe_threads(threads[:1], {__file__}) == "'waiting 0'"


@pytest.fixture
def ended_threads() -> Iterator[None]:
    yield
    for pool in Pooled.pools:
        pool.shutdown()
    for end in Listening.ends:
        end.set()


def rehearsal_logs(caplog: pytest.LogCaptureFixture, kind: type) -> list[str]:
    caplog.clear()
    load_in_process(named(kind))
    assert {record.levelname for record in caplog.records} <= {"WARNING"}
    return [record.getMessage().replace(f"{kind.__module__}:{kind.__name__}", "X") for record in caplog.records]


def test_a_thread_that_a_step_leaves_running_is_a_warning(
    caplog: pytest.LogCaptureFixture, ended_threads: None
) -> None:
    warning = (
        "in tick 1 step of the simulator X (here) left threads running that must not touch the table then: 'half_0';"
        " start threads in prepare"
    )
    assert rehearsal_logs(caplog, Pooled) == [warning.replace("here", place(Pooled, "step"))]


def test_threads_that_wait_for_the_outside_are_welcome(caplog: pytest.LogCaptureFixture, ended_threads: None) -> None:
    assert rehearsal_logs(caplog, Listening) == []


def test_perceived_commands_are_checked_and_reach_step_as_at_run_time(caplog: pytest.LogCaptureFixture) -> None:
    Watering.batches.clear()
    Watering.rejected.clear()
    logs = rehearsal_logs(caplog, Watering)
    prefix = f"left out what the simulator X ({place(Watering, 'perceive')}) perceived in tick 1: "
    assert [line.removeprefix(prefix).partition(":")[0] for line in logs] == ["add.amount", "add", "jump"]
    assert "whole numbers, not 1.5" in logs[1]
    assert Watering.batches == [[Command(f"seen-{tick}-0", "add", 0, {"amount": tick})] for tick in (1, 2, 3, 3)]
    assert Watering.rejected == [{0: "KeyError: 'amount'"}] * 4


def test_what_takes_long_or_is_large_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_MAX_COMPARED_ROWS", 199)
    load_in_process(named(Crowding))
    monkeypatch.setattr(rehearsal, "_MAX_COMPARED_ROWS", 200)
    monkeypatch.setattr(rehearsal, "_MAX_REPEATED_SECONDS", 0.0)
    load_in_process(named(Crowding))
    monkeypatch.setattr(rehearsal, "_MAX_REPEATED_SECONDS", 60.0)
    assert "another count in row 0" in sentence(Crowding)


def test_an_empty_area_is_rehearsed() -> None:
    load_in_process(msgspec.structs.replace(named(Random), simulator="tests.unit.model.counting:Counting", entities=0))
