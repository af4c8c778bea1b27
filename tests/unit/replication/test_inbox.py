from __future__ import annotations

import pytest

from pairsim.model.commands import Command, Status
from pairsim.model.simulation.tick import MAX_REASON_BYTES
from pairsim.replication.log.command_window import CommandWindow
from pairsim.replication.log.records import Rejection, Tick, encode_record
from pairsim.replication.raft.pysyncobj.core import MAX_COMMAND_BYTES
from pairsim.replication.replica.active import MAX_PERCEIVED, MAX_PERCEIVED_BYTES
from pairsim.replication.replica.in_flight import InFlight
from pairsim.replication.replica.inbox import MAX_RECORD_BYTES, MAX_RECORD_COMMANDS, Inbox
from pairsim.replication.service import (
    BatchInterruptedError,
    BatchTooLargeError,
    Committed,
    InboxFullError,
    ReplicaError,
)


def commands(*ids: str) -> list[Command]:
    return [Command(i, "add", 1) for i in ids]


class Answers:
    def __init__(self) -> None:
        self.got: list[Committed | ReplicaError] = []

    def __call__(self, answer: Committed | ReplicaError) -> None:
        self.got.append(answer)

    @property
    def only(self) -> Committed:
        assert len(self.got) == 1
        assert isinstance(self.got[0], Committed)
        return self.got[0]


def admit(in_flight: InFlight, tick: int, *batches: list[Command]) -> list[Answers]:
    inbox, answers = Inbox(1000), [Answers() for _ in batches]
    for batch, answer in zip(batches, answers, strict=True):
        inbox.put(batch, answer)
    in_flight.admit(inbox.take(), tick)
    return answers


def test_a_batch_is_put_as_a_whole_or_not_at_all() -> None:
    inbox = Inbox(3)
    inbox.put(commands("a", "b"), Answers())
    with pytest.raises(InboxFullError, match="try again"):
        inbox.put(commands("c", "d"), Answers())
    inbox.put(commands("c"), Answers())
    assert inbox.waiting == 3


def test_batches_leave_in_order_whole_and_never_more_than_asked_for() -> None:
    inbox = Inbox(100)
    for name in "abc":
        inbox.put(commands(f"{name}1", f"{name}2"), Answers())
    assert [[c.id for c in b.commands] for b in inbox.take(5)] == [["a1", "a2"], ["b1", "b2"]]
    assert [[c.id for c in b.commands] for b in inbox.take(1)] == [["c1", "c2"]]
    assert inbox.waiting == 0


@pytest.mark.parametrize("committed_first", [True, False])
def test_an_answer_needs_commit_and_computation(committed_first: bool) -> None:
    in_flight = InFlight(CommandWindow(), 4)
    (answer,) = admit(in_flight, 5, commands("a", "b"))
    if committed_first:
        in_flight.on_committed(5, 1)
        assert not answer.got
        in_flight.on_stepped(5, {1: "no such entity"}, 1)
    else:
        in_flight.on_stepped(5, {1: "no such entity"}, 1)
        assert not answer.got
        in_flight.on_committed(5, 1)
    first, second = answer.only.results
    assert (first.status, first.tick) == (Status.APPLIED, 5)
    assert (second.status, second.reason) == (Status.REJECTED, "no such entity")


def test_an_id_that_is_under_way_runs_once_and_is_answered_when_that_run_is() -> None:
    in_flight = InFlight(CommandWindow(), 0)
    (first,) = admit(in_flight, 1, commands("a"))
    inbox, again = Inbox(10), Answers()
    inbox.put(commands("a"), again)
    assert in_flight.admit(inbox.take(), 2) == []
    in_flight.on_stepped(1, {}, 1)
    in_flight.on_committed(1, 1)
    assert first.only.results[0].status is Status.APPLIED
    result = again.only.results[0]
    assert (result.status, result.tick) == (Status.DUPLICATE, 1)


def test_an_id_from_before_the_takeover_is_known_from_the_window() -> None:
    window = CommandWindow()
    window.add("a", 3)
    window.reject("a", "too late")
    in_flight = InFlight(window, 7)
    (answer,) = admit(in_flight, 8, commands("a", "b"))
    in_flight.on_stepped(8, {}, 2)
    in_flight.on_committed(8, 2)
    old, new = answer.only.results
    assert (old.status, old.tick, old.reason) == (Status.DUPLICATE, 3, "too late")
    assert (new.status, new.tick) == (Status.APPLIED, 8)


def test_a_lost_leadership_answers_what_is_under_way_and_only_once() -> None:
    in_flight = InFlight(CommandWindow(), 0)
    (answer,) = admit(in_flight, 1, commands("a"))
    in_flight.fail_all()
    in_flight.on_stepped(1, {}, 1)
    in_flight.on_committed(1, 1)
    assert len(answer.got) == 1
    assert isinstance(answer.got[0], BatchInterruptedError)


def test_what_waits_without_an_active_is_answered() -> None:
    inbox, answer = Inbox(10), Answers()
    inbox.put(commands("a"), answer)
    inbox.interrupt()
    assert isinstance(answer.got[0], BatchInterruptedError)
    assert inbox.take() == []


def test_memory_of_finished_ticks_is_let_go() -> None:
    in_flight = InFlight(CommandWindow(), 0)
    for tick in range(1, 200):
        admit(in_flight, tick, commands(f"c{tick}"))
        in_flight.on_stepped(tick, {}, 1)
        in_flight.on_committed(tick, 1)
    assert len(in_flight._running) < 5
    assert len(in_flight._rejected) < 5


def test_a_tick_takes_no_more_than_its_record_holds() -> None:
    wide = {"values": [0.5] * 1000}
    inbox = Inbox(1000)
    for name in "abc":
        inbox.put([Command(f"{name}{n}", "set", n, wide) for n in range(200)], Answers())
    while batches := inbox.take():
        assert sum(batch.bytes for batch in batches) <= MAX_RECORD_BYTES
        taken = [c for batch in batches for c in batch.commands]
        assert len(encode_record(Tick(1, 2, 3, 0, [], taken))) < MAX_RECORD_BYTES + 100
        assert len(batches) == 1


def test_a_batch_that_no_tick_could_take_is_refused() -> None:
    inbox = Inbox(1000)
    with pytest.raises(BatchTooLargeError, match="send it in parts"):
        inbox.put([Command(f"c{n}", "set", n, {"values": [0.5] * 1000}) for n in range(500)], Answers())
    assert inbox.waiting == 0


def test_the_fullest_record_fits_into_the_log() -> None:
    rejections = MAX_RECORD_COMMANDS + MAX_PERCEIVED
    longest = encode_record(
        Tick(2**62, 2**62, 2**63, 2**62, [Rejection(2**31, "x" * MAX_REASON_BYTES)] * rejections, [])
    )
    assert len(longest) + MAX_RECORD_BYTES + MAX_PERCEIVED_BYTES + 100 <= MAX_COMMAND_BYTES


def test_a_duplicate_of_the_last_leaderships_last_tick_is_answered_when_its_rejections_are_known() -> None:
    window = CommandWindow()
    window.add("a", 7)
    in_flight, inbox, again = InFlight(window, 7), Inbox(10), Answers()
    inbox.put(commands("a"), again)
    in_flight.admit(inbox.take(), 8)
    in_flight.on_stepped(8, {}, 2)
    assert not again.got
    window.reject("a", "no such entity")  # the record of tick 8 says so
    in_flight.on_committed(8, 2)
    assert [(r.status, r.tick, r.reason) for r in again.only.results] == [(Status.DUPLICATE, 7, "no such entity")]
