"""What a simulator process answers while its replica changes, and which assignments it takes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pairsim.engine.host.launcher import EngineLauncher
from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.replication.process import area_runtime, shell
from pairsim.replication.process.area_runtime import AreaRuntime
from pairsim.replication.process.memory_guard import MemoryGuard
from pairsim.replication.process.simulator import SimulatorProcess
from pairsim.replication.service import BatchInterruptedError, NotActiveError, RefusedError, SimulatorError
from tests import builders
from tests.unit.replication.process.processes import settings, simulator_process
from tests.unit.replication.replica.replicas import LoneReplica, add
from tests.unit.replication.replica.test_active import run
from tests.unit.replication.replica.test_in_flight import Answers

DEADLINE_SECONDS = 10.0


@pytest.fixture
def process(tmp_path: Path) -> Iterator[SimulatorProcess]:
    with simulator_process(tmp_path) as made:
        yield made


def with_replica(process: SimulatorProcess, lone: LoneReplica) -> None:
    """Puts a replica without threads into a process."""
    node = SimpleNamespace(replica=lone.replica, inbox=lone.inbox, log=lone.log, leader=lambda: None)
    runtime = SimpleNamespace(node=node, memory_guard=MemoryGuard(), close=lambda: None)
    process._runtime = cast("AreaRuntime", runtime)


# --- requests


def test_digests_of_ticks_that_may_be_undone_are_not_reported(process: SimulatorProcess) -> None:
    lone = LoneReplica()
    with_replica(process, lone)
    run(lone.lead(), 2)
    assert process.digests(0, 10).keys() == {0}
    lone.commit(1)
    assert process.digests(0, 10).keys() == {0, 1}
    assert process.digests(1, 1).keys() == {1}


def test_a_batch_that_is_put_while_the_leadership_ends_is_answered(process: SimulatorProcess) -> None:
    """The end of the leadership empties the inbox once; a batch that comes after that would never be answered."""
    lone, answer = LoneReplica(), Answers()
    with_replica(process, lone)
    lone.lead()
    put = lone.inbox.put

    def end_and_put(*batch: object) -> None:
        lone.replica.on_leadership_lost()
        lone.replica.active = None
        put(*batch)  # type: ignore[arg-type]

    lone.inbox.put = end_and_put  # type: ignore[method-assign]
    process.submit([add("a")], answer)
    assert [type(got) for got in answer.got] == [BatchInterruptedError]


def test_a_passive_takes_no_batch(process: SimulatorProcess) -> None:
    lone, answer = LoneReplica(), Answers()
    with_replica(process, lone)
    with pytest.raises(NotActiveError):
        process.submit([add("a")], answer)
    assert (lone.inbox.waiting, answer.got) == (0, [])


# --- assignments


class FakeRuntime:
    """An area that only knows its assignment."""

    def __init__(self, _settings: object, assignment: Assignment, _router: object, **_callbacks: object) -> None:
        self.advanced: list[Assignment] = []
        self.readdressed: list[Assignment] = []
        membership = SimpleNamespace(assignment=assignment, readdress=self.readdressed.append)
        self.node = SimpleNamespace(spec=assignment.spec, membership=membership, advance_to=self.advanced.append)
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeRuntime]:
    monkeypatch.setattr(area_runtime, "AreaRuntime", FakeRuntime)
    return FakeRuntime


def generation(number: int, area: str = "north", *members: str) -> Assignment:
    return builders.assignment(*members, spec=builders.area(area), generation=number)


def running(process: SimulatorProcess) -> FakeRuntime | None:
    return cast("FakeRuntime | None", process._runtime)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (generation(3, "north", "b", "c", "w"), "a is not a member of that generation"),
        (generation(3, "north", "b", "c", "a"), "a simulator process cannot be the witness"),
        (generation(3, "south"), "this process simulates north: release that area first"),
        (generation(1), "generation 2 is in force, 1 is over"),
        (generation(2, "north", "a", "c", "w"), "generation 2 is in force, 2 is over"),
    ],
)
def test_an_assignment_that_contradicts_the_present_one_is_refused(
    process: SimulatorProcess, fake: type[FakeRuntime], given: Assignment, sentence: str
) -> None:
    process.assign(generation(2))
    with pytest.raises(RefusedError, match=sentence):
        process.assign(given)
    area = running(process)
    assert area is not None
    assert (area.node.membership.assignment, area.advanced) == (generation(2), [])


class FakeLauncher:
    """Counts what a process asks of its launcher."""

    pid = 77

    def __init__(self) -> None:
        self.asked: list[str] = []

    def keep(self) -> None:
        self.asked.append("keep")

    def drop(self) -> None:
        self.asked.append("drop")

    def take(self, spec: AreaSpec) -> None:
        self.asked.append(f"take {spec.area}")


def test_a_spare_keeps_a_warm_engine_as_long_as_it_is_asked_to(tmp_path: Path, fake: type[FakeRuntime]) -> None:
    launcher = FakeLauncher()
    process = SimulatorProcess(settings("a", tmp_path), cast("EngineLauncher", launcher))

    def asked() -> list[str]:
        since, launcher.asked = launcher.asked, []
        return since

    try:
        assert asked() == ["drop"], "no request for one has come"
        process.keep_warm_engine(keep=True)
        assert asked() == ["keep"]
        assert process.status().engine_pid == launcher.pid
        process.assign(generation(2))
        assert asked() == ["take north"]
        process.keep_warm_engine(keep=True)
        assert asked() == [], "a replica has an engine of its own"
        process.release("north")
        assert asked() == ["keep"]
        process.keep_warm_engine(keep=False)
        assert asked() == ["drop"]
    finally:
        process.close()
    assert asked() == ["drop"]


def test_a_process_that_cannot_take_an_area_keeps_a_warm_engine_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = FakeLauncher()
    process = SimulatorProcess(settings("a", tmp_path), cast("EngineLauncher", launcher))

    def refuse(*_arguments: object, **_more: object) -> None:
        raise SimulatorError("a module is missing")

    monkeypatch.setattr(area_runtime, "AreaRuntime", refuse)
    try:
        process.keep_warm_engine(keep=True)
        with pytest.raises(SimulatorError):
            process.assign(generation(2))
        assert launcher.asked[-2:] == ["take north", "keep"]
    finally:
        process.close()


def test_the_same_assignment_is_taken_once_and_the_next_generation_is_opened(
    process: SimulatorProcess, fake: type[FakeRuntime]
) -> None:
    process.assign(generation(2))
    area = running(process)
    process.assign(generation(2))
    assert running(process) is area
    assert area is not None
    assert area.readdressed == [generation(2)], "its members may have other addresses now"
    process.assign(generation(3))
    process.assign(generation(4))
    assert area.advanced == [generation(3)], "a generation follows the one before it"


def test_only_the_area_of_the_process_is_released(process: SimulatorProcess, fake: type[FakeRuntime]) -> None:
    process.assign(generation(1))
    process.release("south")
    area = running(process)
    assert area is not None
    process.release("north")
    assert (running(process), area.closed) == (None, True)


def test_a_replica_that_is_not_the_active_any_more_gives_a_grant_up() -> None:
    known = Authority.before_grants("north")
    replica = SimpleNamespace(active=None, state=SimpleNamespace(authority=lambda _tick: known))
    node = SimpleNamespace(
        submit_grant=lambda _authority: None, leader=lambda: None, log=SimpleNamespace(tick=1), replica=replica
    )
    with pytest.raises(NotActiveError):
        AreaRuntime.authorise(
            cast("AreaRuntime", SimpleNamespace(node=node)), Authority(area="north", version=2, cells=()), 30.0
        )


def test_a_grant_for_another_area_is_refused(process: SimulatorProcess, fake: type[FakeRuntime]) -> None:
    process.assign(generation(1))
    with pytest.raises(RefusedError, match="this process simulates north, not south"):
        process.authorise(Authority(area="south", version=2, cells=()), 1.0)


class WatchedLock:
    """A lock that says when a thread has to wait for it."""

    def __init__(self, on_wait: Callable[[], None]) -> None:
        self._lock, self._on_wait = threading.Lock(), on_wait

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._on_wait()
            self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()


def test_an_assignment_during_a_release_waits_until_the_files_are_gone(
    process: SimulatorProcess, fake: type[FakeRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the release deletes the journal of the membership that follows."""
    events: list[str] = []
    happened = threading.Event()

    class Following(FakeRuntime):
        def __init__(self, *given: object, **callbacks: object) -> None:
            super().__init__(*given, **callbacks)  # type: ignore[arg-type]
            events.append("assigned")
            happened.set()

    process.assign(generation(1))
    process._moving = cast("threading.Lock", WatchedLock(happened.set))
    monkeypatch.setattr(area_runtime, "AreaRuntime", Following)
    assigning = threading.Thread(target=process.assign, args=(generation(2),))

    def delete_files(*_given: object) -> None:
        assigning.start()
        assert happened.wait(DEADLINE_SECONDS), "the assignment waits, or is done"
        events.append("deleted")

    monkeypatch.setattr(shell, "delete_area", delete_files)
    process.release("north")
    assigning.join(DEADLINE_SECONDS)
    assert events == ["deleted", "assigned"]


def test_of_two_assignments_at_once_one_is_refused(
    process: SimulatorProcess, fake: type[FakeRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    other: list[BaseException] = []
    happened = threading.Event()
    process._moving = cast("threading.Lock", WatchedLock(happened.set))

    def assign_other() -> None:
        try:
            process.assign(generation(1, "south"))
        except RefusedError as error:
            other.append(error)
        happened.set()

    second = threading.Thread(target=assign_other)

    class Slow(FakeRuntime):
        def __init__(self, *given: object, **callbacks: object) -> None:
            super().__init__(*given, **callbacks)  # type: ignore[arg-type]
            if not second.ident:
                second.start()
                assert happened.wait(DEADLINE_SECONDS)

    monkeypatch.setattr(area_runtime, "AreaRuntime", Slow)
    process.assign(generation(1))
    second.join(DEADLINE_SECONDS)
    area = running(process)
    assert area is not None
    assert area.node.spec.area == "north"
    assert [str(error) for error in other] == ["this process got another area just now"]
