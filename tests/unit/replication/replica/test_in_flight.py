"""Batches in flight are answered once, when their tick is both committed and computed."""

from __future__ import annotations

import pytest

from pairsim.model.commands import Command, Status
from pairsim.replication.log.command_window import CommandWindow
from pairsim.replication.replica.in_flight import InFlight
from pairsim.replication.replica.inbox import Inbox
from pairsim.replication.service import (
    BatchInterruptedError,
    Committed,
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


def test_memory_of_finished_ticks_is_let_go() -> None:
    in_flight = InFlight(CommandWindow(), 0)
    for tick in range(1, 200):
        admit(in_flight, tick, commands(f"c{tick}"))
        in_flight.on_stepped(tick, {}, 1)
        in_flight.on_committed(tick, 1)
    assert len(in_flight._running) < 5
    assert len(in_flight._rejected) < 5


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
