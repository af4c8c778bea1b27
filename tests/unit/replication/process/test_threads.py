"""A thread of an area that raises ends the process: half a member is worse than none."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from pairsim.replication.process import area_runtime, raft_loop
from pairsim.replication.process.raft_loop import DrivenNode, RaftLoop
from pairsim.replication.replica.replica import Replica
from tests.simulation.area import SPEC
from tests.unit.replication.process.processes import assignment, simulator_process

DEADLINE_SECONDS = 10.0


class Ended(queue.Queue[tuple[str, str]]):
    """Takes the reasons for which the process would have ended."""

    def exit(self, what: str, error: BaseException, during: str = "") -> None:
        self.put((what, str(error)))

    def reason(self) -> tuple[str, str]:
        return self.get(timeout=DEADLINE_SECONDS)


class FakeNode:
    """A node whose turns return, one after the other, what the test says; an error is raised."""

    def __init__(self, *turns: tuple[object, ...] | Exception) -> None:
        self._turns = list(turns)
        self.done = threading.Event()
        self.membership = SimpleNamespace(wake=self.done.set)

    def turn_raft(self, wait: float) -> tuple[object, ...]:
        if not self._turns:
            self.done.wait(DEADLINE_SECONDS)
            return ()
        turn = self._turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return turn


def loop(node: FakeNode, changes: list[str] | None = None) -> RaftLoop:
    driven: DrivenNode = node  # type: ignore[assignment]
    return RaftLoop(
        driven, 1.0, thread_name="raft", failure="the Raft thread failed",
        on_change=lambda: changes.append("changed") if changes is not None else None,
    )  # fmt: skip


def test_a_turn_that_raises_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended()
    monkeypatch.setattr(raft_loop, "exit_process", ended.exit)
    raft = loop(FakeNode(RuntimeError("no room")))
    raft.start()
    assert ended.reason() == ("the Raft thread failed", "no room")
    raft.join()


def test_a_tick_that_raises_ends_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Ended()

    def fail(_self: Replica, _now: float) -> float:
        raise RuntimeError("the step is broken")

    monkeypatch.setattr(area_runtime, "exit_process", ended.exit)
    monkeypatch.setattr(Replica, "run_once", fail)
    with simulator_process(tmp_path) as process:
        process.assign(assignment(process, SPEC))
        assert ended.reason() == ("the replica thread failed", "the step is broken")


def test_a_replica_thread_that_hangs_ends_the_process_when_the_area_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, freed = Ended(), threading.Event()
    monkeypatch.setattr(area_runtime, "exit_process", ended.exit)
    monkeypatch.setattr(area_runtime, "_CALL_SECONDS", 0.01)
    monkeypatch.setattr(area_runtime, "JOIN_SECONDS", 0.1)
    hangs = threading.Event()

    def hang(_self: Replica, now: float) -> float:
        hangs.set()
        freed.wait(DEADLINE_SECONDS)
        return now + 1.0

    monkeypatch.setattr(Replica, "run_once", hang)
    with simulator_process(tmp_path) as process:
        process.assign(assignment(process, SPEC))
        assert hangs.wait(DEADLINE_SECONDS)
        process.release(SPEC.area)
        freed.set()
    assert ended.reason() == (f"the replica thread of {SPEC.area} hangs", "it has not ended within 0.1 s")


def test_a_change_of_status_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[str] = []
    ended = Ended()
    monkeypatch.setattr(raft_loop, "exit_process", ended.exit)
    raft = loop(FakeNode(("a", 1), ("a", 1), ("b", 1), RuntimeError("the end")), changes)
    raft.start()
    ended.reason()
    assert changes == ["changed", "changed"]


def test_a_loop_that_is_stopped_is_woken() -> None:
    node = FakeNode()
    raft = loop(node)
    raft.start()
    raft.stop()
    raft.join()
    assert node.done.is_set()
    assert not raft._thread.is_alive()
