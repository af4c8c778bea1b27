"""The way of a process from one generation to the next, with a group that does what the test says."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from pairsim.model.area import Detection
from pairsim.model.assignment import Assignment
from pairsim.replication.log.records import Open, Order, Seal, Tick, encode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.membership import membership as module
from pairsim.replication.membership.draining import DRAIN_SECONDS, DRAINING_TURN_SECONDS
from pairsim.replication.membership.membership import Membership
from pairsim.replication.patience import NoProcessorWaits, ProcessorWaits
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.storage import MemoryStorage
from pairsim.settings import Timing
from tests import builders
from tests.unit.replication.log.test_tick_log import apply, new, tick

FIRST = builders.assignment("a", "b", "w")
SECOND = builders.assignment("a", "c", "w", generation=2, joins=("c",))
THIRD = builders.assignment("a", "d", "w", generation=3, joins=("d",))
AS_NEWCOMER = builders.assignment("b", "a", "w", generation=2, joins=("a",))
WITHOUT_ME = builders.assignment("b", "c", "w", generation=2, joins=("c",))


class FakeGroup:
    """A Raft group that does nothing by itself."""

    def __init__(
        self, _me: str, others: frozenset[str], *, journal: Journal, state_machine: TickLog, timing: Timing, **_: Any
    ) -> None:
        self.others, self.journal, self.log, self.timing = others, journal, state_machine, timing
        self.is_voter = journal.is_voter
        self.term = journal.getCurrentTerm()
        self.links: frozenset[str] = frozenset()
        self.voter, self.open_term = True, cast("int | None", None)
        self.waits: list[float] = []
        self.did: list[str] = []

    def turn(self, wait: float) -> None:
        self.waits.append(wait)

    def call_soon(self, _function: Callable[[], None]) -> None:
        self.did.append("woken")

    def campaign(self) -> None:
        self.did.append("campaigned")

    def drain(self) -> None:
        self.did.append("drained")

    def close(self) -> None:
        self.did.append("closed")


class FakeResources:
    """Disk and network of a process; `events` are the writes and openings in their order."""

    def __init__(self) -> None:
        self.storages: dict[int, MemoryStorage] = {}
        self.members: dict[int, Assignment] = {}
        self.events: list[tuple[str, int]] = []

    def open_transport(self, assignment: Assignment, _on_superseded: object) -> Any:
        self.events.append(("open", assignment.generation))
        return SimpleNamespace()

    def open_journal(self, assignment: Assignment) -> Journal:
        storage = self.storages.setdefault(assignment.generation, MemoryStorage())
        return Journal(storage, "boot", f"north/{assignment.generation}/a")

    def has_journal(self, generation: int) -> bool:
        return generation in self.storages

    def save_assignment(self, assignment: Assignment) -> None:
        self.events.append(("save", assignment.generation))
        self.members[assignment.generation] = assignment

    def saved_generation(self, generation: int) -> Assignment | None:
        return self.members.get(generation) if self.has_journal(generation) else None

    def publish_generation(self, assignment: Assignment) -> None:
        self.events.append(("publish", assignment.generation))

    def delete_generation(self, generation: int) -> None:
        self.events.append(("delete", generation))
        self.storages.pop(generation, None)

    def redirect(self, assignment: Assignment) -> None:
        self.events.append(("redirect", assignment.generation))

    def processor_waits(self) -> ProcessorWaits:
        return NoProcessorWaits()


class Heard:
    """A tick log's listener that records what it hears."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def on_open(self, term: int) -> None:
        self.events.append(("open", term))

    def on_tick(self, record: Tick, payload: bytes) -> None:
        self.events.append(("tick", record.tick))

    def on_order(self, order: Order) -> None:
        self.events.append(("order", order.tick))

    def on_seal(self, seal: Seal) -> None:
        self.events.append(("seal", seal.next.generation))


class Process:
    """The process `a` with its membership."""

    def __init__(self, assignment: Assignment = FIRST, resources: FakeResources | None = None) -> None:
        self.resources, self.log, self.heard = resources or FakeResources(), new(), Heard()
        self.retired = 0
        self.start(assignment)

    def start(self, assignment: Assignment) -> None:
        self.membership = Membership(
            "a",
            assignment,
            ticks=self.log,
            listeners=(self.heard,),
            leadership=cast("Any", SimpleNamespace()),
            resources=self.resources,
            timing=Timing(),
            on_retired=self._on_retired,
        )
        self.first = self.group

    def _on_retired(self) -> None:
        self.retired += 1

    @property
    def group(self) -> FakeGroup:
        return cast("FakeGroup", self.membership.group)

    @property
    def draining(self) -> FakeGroup | None:
        draining = self.membership._draining
        return cast("FakeGroup", draining._group) if draining is not None else None

    @property
    def generation(self) -> int:
        return self.membership.assignment.generation

    def seal(self, following: Assignment) -> None:
        """Commits one tick and a seal, and takes a turn."""
        self.log.apply(encode_record(Open(1)))
        apply(self.log, tick(1, 1, "c1"))
        self.log.apply(encode_record(Seal(1, 1, following)))
        self.membership.turn(1.0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("pairsim.replication.clock._source", made)
    monkeypatch.setattr(module, "RaftNode", FakeGroup)
    return made


@pytest.fixture
def process() -> Process:
    return Process()


# --- the seal


def test_a_survivor_goes_on_in_the_next_generation_with_its_log_and_term(process: Process) -> None:
    process.seal(SECOND)
    group = process.group
    assert (process.generation, group.others, group.is_voter, group.term) == (2, {"c", "w"}, True, 1)
    assert group.journal.snapshot is not None
    log = new()
    log.restore(group.journal.snapshot.data)
    assert (log.tick, log.term, log.sealed, list(log.last_commands)) == (1, 1, None, ["c1"])
    assert (process.log.sealed, group.log is process.log) == (None, True)
    assert process.heard.events == [("open", 1), ("tick", 1), ("seal", 2)]


def test_the_next_generation_is_on_disk_before_its_group_can_send_anything(process: Process) -> None:
    process.resources.events.clear()
    process.seal(SECOND)
    found = [event for event in process.resources.events if event[1] == 2]
    assert found.index(("save", 2)) < found.index(("open", 2))
    assert Journal(process.resources.storages[2], "boot", "north/2/a").is_voter


def test_a_generation_whose_journal_is_there_is_not_started_anew(process: Process) -> None:
    """The process entered it before, and voted there; then it restarted from the sealed generation."""
    journal = process.resources.open_journal(SECOND)
    journal.bootstrap(process.log.snapshot(), 1)
    journal.setCurrentTerm(7, "c")
    process.seal(SECOND)
    assert (process.group.journal.getCurrentTerm(), process.group.journal.getVotedForNodeId()) == (7, "c")


@pytest.mark.parametrize("active", [True, False])
def test_the_active_of_the_sealed_generation_leads_on(active: bool, process: Process) -> None:
    process.group.open_term = 1 if active else None
    process.seal(SECOND)
    assert ("campaigned" in process.group.did) is active


def test_a_process_without_a_place_in_the_next_generation_retires(process: Process) -> None:
    process.seal(WITHOUT_ME)
    assert (process.retired, process.first.did[-1], process.resources.has_journal(2)) == (1, "closed", False)
    turns = len(process.first.waits)
    process.membership.turn(1.0)
    assert (process.retired, len(process.first.waits)) == (1, turns)


def test_the_seal_of_a_generation_that_is_over_changes_nothing(process: Process) -> None:
    process.seal(SECOND)
    group = process.group
    process.membership.on_seal(Seal(1, 1, SECOND))
    process.membership.on_seal(Seal(1, 1, FIRST))
    process.membership.turn(1.0)
    assert (process.generation, process.group is group) == (2, True)


def test_a_seal_ends_the_wait_of_a_turn(process: Process) -> None:
    process.membership.on_seal(Seal(1, 0, SECOND))
    assert process.first.did == ["woken"]


def test_a_seal_in_the_journals_snapshot_is_acted_on_at_the_start(process: Process) -> None:
    apply(process.log, Open(1), tick(1, 1))
    process.log.listener = None
    process.log.apply(encode_record(Seal(1, 1, SECOND)))
    process.start(FIRST)
    process.membership.turn(1.0)
    assert process.generation == 2


# --- the draining group


def test_the_sealed_group_drains_until_every_survivor_was_linked_in_the_next(process: Process, clock: Clock) -> None:
    process.seal(SECOND)
    assert process.draining is process.first
    assert process.first.did[-1] == "drained"
    clock.now += 100 * DRAIN_SECONDS
    process.group.links = frozenset({"c"})
    process.membership.turn(1.0)
    assert process.draining is process.first, "the witness may not know of the seal"
    process.group.links = frozenset({"w"})
    process.membership.turn(1.0)
    assert (process.draining, process.first.did[-1]) == (None, "closed")
    assert process.resources.events[-1] == ("delete", 1)


def test_the_sealed_group_drains_for_a_while_at_least(process: Process, clock: Clock) -> None:
    process.seal(SECOND)
    process.group.links = frozenset({"c", "w"})
    process.membership.turn(1.0)
    assert process.draining is not None
    process.group.links = frozenset()
    clock.now += DRAIN_SECONDS + 0.001
    process.membership.turn(1.0)
    assert process.draining is None, "the witness was linked once"


def test_turns_are_short_while_a_group_drains(process: Process) -> None:
    process.membership.turn(1.0)
    process.seal(SECOND)
    process.membership.turn(1.0)
    process.membership.turn(0.0)
    assert process.first.waits[:2] == [1.0, 1.0]
    assert process.group.waits == [DRAINING_TURN_SECONDS, 0.0]


def test_a_restart_drains_on_with_a_log_of_its_own(process: Process) -> None:
    process.seal(SECOND)
    process.membership.close()
    again = Process(SECOND, process.resources)
    assert again.draining is not None
    assert (again.draining.others, again.draining.log is again.log) == ({"b", "w"}, False)
    assert again.group.others == {"c", "w"}


def test_closing_leaves_both_groups_and_keeps_their_files(process: Process) -> None:
    process.seal(SECOND)
    group = process.group
    process.membership.close()
    assert (process.first.did[-1], group.did[-1]) == ("closed", "closed")
    assert process.resources.storages.keys() == {1, 2}


# --- what peers name as the generation in force


def superseded(process: Process, named: Assignment) -> None:
    process.membership.on_superseded(named)
    process.membership.turn(1.0)


def test_the_own_generation_is_no_news(process: Process) -> None:
    superseded(process, FIRST)
    assert (process.group is process.first, process.draining, process.first.did) == (True, None, ["woken"])


def test_a_peer_that_missed_the_seal_finds_the_sealed_group_again(process: Process, clock: Clock) -> None:
    process.seal(SECOND)
    process.group.links = frozenset({"c", "w"})
    clock.now += DRAIN_SECONDS + 0.001
    journal = process.resources.storages[1]
    process.membership.turn(1.0)
    superseded(process, FIRST)
    assert process.draining is None, "its journal is gone"
    process.resources.storages[1] = journal
    superseded(process, FIRST)
    assert process.draining is not None
    assert process.generation == 2


def test_a_survivor_that_votes_waits_for_the_seal(process: Process) -> None:
    """As a newcomer it would take its vote and its log out of both groups at once."""
    superseded(process, SECOND)
    assert (process.generation, process.group is process.first) == (1, True)


@pytest.mark.parametrize(("named", "votes"), [(SECOND, False), (THIRD, True), (AS_NEWCOMER, True)])
def test_a_member_that_cannot_follow_the_seal_joins_as_a_newcomer(
    named: Assignment, votes: bool, process: Process
) -> None:
    process.group.voter = votes
    process.resources.events.clear()
    superseded(process, named)
    number = named.generation
    assert (process.generation, process.first.did[-1]) == (number, "closed")
    events = [event for event in process.resources.events if event[0] != "publish"]
    assert events == [("save", number), ("open", number), ("delete", 1)]
    assert (process.group.is_voter, process.group.journal.blank) == (False, True)


def test_a_process_that_a_later_generation_does_not_name_retires(process: Process) -> None:
    superseded(process, WITHOUT_ME)
    assert (process.retired, process.first.did[-1]) == (1, "closed")


# --- what others learn


def test_a_generation_is_published_when_it_is_known_to_be_in_force() -> None:
    resources = FakeResources()
    process = Process(SECOND, resources)
    group = process.group
    group.voter, group.term = False, 0
    process.membership.turn(1.0)
    assert ("publish", 2) not in resources.events
    group.term = 1
    for _turn in range(3):
        process.membership.turn(1.0)
    assert resources.events.count(("publish", 2)) == 1


def test_the_log_of_a_newcomer_shows_the_commit_when_the_newcomer_votes() -> None:
    newcomer = Process(AS_NEWCOMER)
    newcomer.group.voter = False
    assert not newcomer.membership.commit_known_from_log()
    newcomer.group.voter = True
    assert newcomer.membership.commit_known_from_log()
    survivor = Process(SECOND)
    survivor.group.voter = False
    assert survivor.membership.commit_known_from_log()


# --- addresses


MOVED = builders.assignment("a", builders.member("b", peer="elsewhere:1"), "w")


def readdressed(process: Process, assignment: Assignment) -> list[tuple[str, int]]:
    """Gives a process other addresses of its members; returns what it does with them."""
    process.membership.turn(1.0)
    process.resources.events.clear()
    process.membership.readdress(assignment)
    process.membership.turn(1.0)
    return process.resources.events


def test_other_addresses_of_the_members_are_saved_before_they_are_dialled(process: Process) -> None:
    assert readdressed(process, MOVED) == [("save", 1), ("redirect", 1), ("publish", 1)]
    assert process.membership.assignment == MOVED
    assert process.group is process.first, "an address does not identify a member"
    assert readdressed(process, MOVED) == []


MOVED_WITNESS = builders.member("w", peer="elsewhere:1")


@pytest.mark.parametrize(
    "other",
    [
        builders.assignment("a", "b", MOVED_WITNESS, generation=2, joins=("b",)),
        builders.assignment("a", "d", MOVED_WITNESS),
        builders.assignment("a", "b", MOVED_WITNESS, spec=builders.area("south")),
    ],
)
def test_addresses_are_taken_from_the_same_generation_only(other: Assignment, process: Process) -> None:
    assert readdressed(process, other) == []
    assert process.membership.assignment == FIRST


def test_the_groups_of_an_area_have_the_election_timeout_of_its_plane() -> None:
    spec = msgspec.structs.replace(FIRST.spec, detection=Detection(election_timeout_ms=800))
    process = Process(msgspec.structs.replace(FIRST, spec=spec))
    assert process.group.timing == Timing().of_area(spec) != Timing()
    process.seal(msgspec.structs.replace(SECOND, spec=spec))
    assert process.generation == 2
    assert process.group.timing == Timing().of_area(spec)
