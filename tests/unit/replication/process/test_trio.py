"""Two replicas, a spare and a witness in one process, with their real threads, sockets and files."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.commands import Command, Status
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.table import Table
from pairsim.model.status import Role, SimulatorPhase
from pairsim.replication.process.memory_guard import MemoryGuard
from pairsim.replication.process.simulator import SimulatorProcess
from pairsim.replication.process.witness import WitnessProcess
from pairsim.replication.service import Committed, MemoryFullError, NotActiveError, RefusedError, ReplicaError
from pairsim.system.memory import MemoryAllowance
from tests import builders
from tests.harness import SECRET, spec
from tests.unit.model.counting import Counting
from tests.unit.replication.process.processes import make_simulator, settings

TIMEOUT_SECONDS = 60.0


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


class ThreadedTrio:
    """The processes `a`, `b` and `c` (a spare at first) and the witness `w`."""

    def __init__(self, folder: Path, area: AreaSpec | None = None) -> None:
        self._folder, self._area = folder, area or spec(entities=20)
        self._settings = {name: settings(name, folder / name) for name in "abcw"}
        self.simulators = {name: make_simulator(self._settings[name]) for name in "abc"}
        self.witness = WitnessProcess(self._settings["w"])

    def assignment(self, generation: int, first: str, second: str, joins: tuple[str, ...] = ()) -> Assignment:
        members = (builders.member(name, peer=self._settings[name].peer) for name in (first, second, "w"))
        return builders.assignment(*members, spec=self._area, generation=generation, joins=joins)

    def assign(self, assignment: Assignment) -> None:
        for member in assignment.replicas:
            self.simulators[member.replica].assign(assignment)
        self.witness.assign(assignment)

    def active(self) -> str | None:
        """Returns the name of the active, once the pair is redundant."""
        statuses = (process.status() for process in self.simulators.values())
        return next((s.replica for s in statuses if s.role is Role.ACTIVE and s.peer_in_sync), None)

    def restart(self, name: str) -> None:
        self.simulators[name].close()
        self.simulators[name] = make_simulator(self._settings[name])

    def move(self, *names: str) -> None:
        """Restarts processes on their folders at other addresses, all of them before the first one is back."""
        for name in names:
            (self.witness if name == "w" else self.simulators[name]).close()
            self._settings[name] = settings(name, self._folder / name)
        for name in names:
            if name == "w":
                self.witness = WitnessProcess(self._settings[name])
            else:
                self.simulators[name] = make_simulator(self._settings[name])

    def renew(self, name: str, **changes: object) -> None:
        """Restarts a process on its folder and address with other settings."""
        self._settings[name] = msgspec.structs.replace(self._settings[name], **changes)
        if name == "w":
            self.witness.close()
            self.witness = WitnessProcess(self._settings[name])
        else:
            self.restart(name)

    def close(self) -> None:
        for process in (*self.simulators.values(), self.witness):
            process.close()


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[ThreadedTrio]:
    trio = ThreadedTrio(tmp_path)
    try:
        trio.assign(trio.assignment(1, "a", "b"))
        until(trio.active)
        yield trio
    finally:
        trio.close()


def test_of_switchovers_that_are_requested_at_once_one_succeeds(trio: ThreadedTrio) -> None:
    old = trio.active()
    assert old is not None
    start = threading.Barrier(4)
    done: list[int] = []
    refused: list[ReplicaError] = []

    def switch_over() -> None:
        start.wait()
        try:
            done.append(trio.simulators[old].switchover(TIMEOUT_SECONDS).term)
        except (RefusedError, NotActiveError) as error:
            refused.append(error)

    threads = [threading.Thread(target=switch_over) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), len(refused)) == (1, 3)
    until(lambda: trio.active() not in {None, old})


@pytest.mark.parametrize("moved", ["ab", "aw", "abw"])
def test_members_that_come_back_at_other_addresses_go_on_with_their_state(trio: ThreadedTrio, moved: str) -> None:
    active = trio.active()
    assert active is not None
    answers: list[Committed | ReplicaError] = []
    trio.simulators[active].submit([Command("c1", "spawn", 7000, {"position": [1.0, 2.0, 3.0]})], answers.append)
    until(lambda: answers)
    tick = trio.simulators[active].status().tick
    trio.move(*moved)
    told = trio.assignment(1, "a", "b")

    def back() -> bool:
        trio.assign(told)
        return trio.active() is not None

    until(back)
    addresses = tuple(m.peer for m in told.members())
    for status in (trio.simulators["a"].status(), trio.simulators["b"].status(), trio.witness.status().areas[0]):
        assert (status.generation, status.addresses) == (1, addresses)
        assert status.tick >= tick
    assert trio.simulators["a"].status().entities == trio.simulators["b"].status().entities == 21
    trio.restart("a")
    assert trio.simulators["a"].status().addresses == addresses, "the addresses are on disk"


@pytest.mark.parametrize("role", [Role.ACTIVE, Role.PASSIVE])
def test_a_replica_that_closes_leaves_its_newest_state_on_disk(trio: ThreadedTrio, role: Role) -> None:
    """Otherwise its restart would compute ticks again that clients have seen, with the simulator as it is then."""
    active = trio.active()
    name = next(n for n in "ab" if (n == active) == (role is Role.ACTIVE))
    process = trio.simulators[name]
    runtime = process._runtime
    assert runtime is not None
    until(lambda: process.status().tick > runtime._checkpoints.durable + 20)
    seen = process.status().tick
    process.close()
    assert runtime._checkpoints.durable >= seen


def test_entities_for_which_there_is_no_memory_are_refused(trio: ThreadedTrio) -> None:
    active = trio.simulators[trio.active() or ""]
    runtime = active._runtime
    assert runtime is not None
    runtime.memory_guard = MemoryGuard(lambda: MemoryAllowance(limit=10**9, available=0, own=10**9))
    answers: list[Committed | ReplicaError] = []
    with pytest.raises(MemoryFullError, match="no memory for more entities"):
        active.submit([Command("c1", "spawn", 7000, {"position": [1.0, 2.0, 3.0]})], answers.append)
    active.submit([Command("c2", "despawn", active.read(_first_id, 1.0), {})], answers.append)
    until(lambda: answers)
    assert isinstance(answers[0], Committed)
    assert answers[0].results[0].status is Status.APPLIED


def _first_id(table: Table, _published: object) -> int:
    return int(table.ids[0])


NEW_SECRET = b"the-secret-that-follows-the-first"


def test_a_process_with_another_secret_is_named_by_all_members(trio: ThreadedTrio) -> None:
    trio.renew("b", secret=NEW_SECRET)

    def problems() -> list[str]:
        witness = trio.witness.status().areas[0]
        return [trio.simulators[name].status().problem for name in "ab"] + [witness.problem]

    until(lambda: problems() == ["b has another secret", "a and w have another secret", "b has another secret"])
    trio.renew("b", secret=SECRET.encode())
    until(trio.active)
    until(lambda: problems() == ["", "", ""])


def test_the_secret_is_replaced_without_a_stop(trio: ThreadedTrio) -> None:
    """First each process learns of the new secret beside the old one, then each forgets the old one."""
    for previous in (SECRET.encode(), b""):
        for name in "bwa":
            trio.renew(name, secret=NEW_SECRET, previous_secret=previous)
            until(trio.active)
            assert not any(trio.simulators[other].status().problem for other in "ab")
    assert trio.simulators["a"].status().generation == 1


def test_an_assignment_with_other_members_changes_no_addresses(trio: ThreadedTrio) -> None:
    before = trio.simulators["a"].status().addresses
    for process in (trio.simulators["a"], trio.witness):
        try:
            process.assign(trio.assignment(1, "a", "c"))
        except RefusedError as error:
            assert "generation 1 is in force" in str(error)  # noqa: PT017 - the witness says nothing
    assert trio.simulators["a"].status().addresses == trio.witness.status().areas[0].addresses == before


def test_a_replaced_member_retires_and_a_restarted_member_returns(trio: ThreadedTrio) -> None:
    lost = trio.active()
    survivor = "b" if lost == "a" else "a"
    assert lost is not None
    answers: list[Committed | ReplicaError] = []
    trio.simulators[lost].submit([Command("c1", "spawn", 7000, {"position": [1.0, 2.0, 3.0]})], answers.append)
    until(lambda: answers)
    assert isinstance(answers[0], Committed)
    assert answers[0].results[0].status is Status.APPLIED
    trio.simulators[lost].close()
    following = trio.assignment(2, survivor, "c", ("c",))

    def advanced() -> bool:
        trio.assign(following)
        return trio.active() == survivor and trio.simulators[survivor].status().generation == 2

    until(advanced)
    trio.restart(lost)
    until(lambda: trio.simulators[lost].status().role is Role.SPARE)
    trio.restart(survivor)
    until(lambda: trio.active() == "c")
    assert trio.simulators[survivor].status().entities == trio.simulators["c"].status().entities == 21
    for process in (*trio.simulators.values(), trio.witness):
        process.release("area")
    assert {process.status().role for process in trio.simulators.values()} == {Role.SPARE}
    assert trio.witness.status().areas == ()


class Failing(Counting):
    """A simulator that raises for one of its commands."""

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        if batch.commands:
            raise KeyError(batch.commands[0].op)

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return ()


def test_an_area_pauses_before_a_tick_for_which_step_raises_on_both_replicas(tmp_path: Path) -> None:
    simulator = f"{__name__}:Failing"
    trio = ThreadedTrio(tmp_path, spec(entities=20, simulator=simulator))
    try:
        trio.assign(trio.assignment(1, "a", "b"))
        until(trio.active)
        active = trio.active()
        assert active is not None
        trio.simulators[active].submit([Command("9f", "add", 7, {"amount": 1.0})], lambda _answer: None)

        pair = [process for name, process in trio.simulators.items() if name in "ab"]
        until(lambda: all(pauses_after_its_state(process) for process in pair))
        statuses = [process.status() for process in pair]
    finally:
        trio.close()
    line = inspect.getsourcelines(Failing.step)[1] + 2
    for status in statuses:
        assert status.simulator is not None
        failed = status.synced_tick + 1
        assert status.simulator.about == (
            f"the simulator {simulator} raised KeyError: 'add' at {__file__}:{line}"
            f" in tick {failed}, with command 9f (add of entity 7)"
        )


def pauses_after_its_state(process: SimulatorProcess) -> bool:
    """Returns whether an area is paused before the tick after the state; a status may be of an earlier state."""
    status = process.status()
    state = status.simulator
    return (
        state is not None
        and state.phase is SimulatorPhase.PAUSED
        and f" in tick {status.synced_tick + 1}," in state.about
    )
