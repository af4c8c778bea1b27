"""Batches in flight are answered once, when the tick of their last answer is both committed and computed."""

from __future__ import annotations

import pytest

from pairsim.model.assignment import Member
from pairsim.model.authority import Cell
from pairsim.model.borders import Answer, AnswerKind, AreaMap, BorderState
from pairsim.model.borders.answers import command_key
from pairsim.model.commands import Command, Result, Status
from pairsim.replication.replica.in_flight import InFlight
from pairsim.replication.replica.inbox import Inbox
from pairsim.replication.service import BatchInterruptedError, Committed, ReplicaError
from tests.builders import cube

PATIENCE = 20
EAST = Cell(
    number=2,
    area="east",
    bounds=cube(1.0),
    replicas=(Member(replica="e-1", peer="127.0.0.1:1", url="http://127.0.0.1:2"),),
)


def commands(*ids: str, attempt: int = 0) -> list[Command]:
    return [Command(i, "add", 1, attempt=attempt) for i in ids]


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

    @property
    def results(self) -> list[tuple[Status, int, str]]:
        return [(result.status, result.tick, result.reason) for result in self.only.results]


class Leadership:
    """Batches in flight, with the borders of the newest computed tick."""

    def __init__(self, tick: int = 0) -> None:
        self.in_flight, self.borders, self.tick = InFlight(tick, PATIENCE), BorderState(1), tick
        self.borders.map = AreaMap(1, (EAST,))

    def knows(self, command: str, kind: AnswerKind, *, tick: int, area: int = 0, reason: str = "") -> None:
        self.borders.answers.put(command_key(command), Answer(kind, 1, 1, area, reason, tick))

    def admit(self, *batches: list[Command]) -> tuple[list[Answers], list[str]]:
        """Takes batches into the next tick; returns their answers and the ids that are recorded."""
        inbox, answers = Inbox(1000), [Answers() for _ in batches]
        for batch, answer in zip(batches, answers, strict=True):
            inbox.put(batch, answer)
        recorded = self.in_flight.admit(inbox.take(), self.tick + 1, self.borders)
        return answers, [command.id for command in recorded]

    def compute(self, **answers: AnswerKind) -> None:
        """Computes the next tick, which answers commands."""
        self.tick += 1
        self.borders = self.borders.copy()
        for command, kind in answers.items():
            reason = "no such entity" if kind is AnswerKind.REJECTED else ""
            area = 2 if kind in {AnswerKind.MOVED, AnswerKind.FORWARDED} else 0
            self.knows(command, kind, tick=self.tick, area=area, reason=reason)
        self.in_flight.on_computed(self.tick, self.borders, 1)

    def commit(self, tick: int | None = None) -> None:
        self.in_flight.on_committed(self.tick if tick is None else tick, 1)


@pytest.mark.parametrize("committed_first", [True, False])
def test_an_answer_needs_commit_and_computation(committed_first: bool) -> None:
    leadership = Leadership(4)
    (answer,), recorded = leadership.admit(commands("a", "b"))
    assert recorded == ["a", "b"]
    if committed_first:
        leadership.commit(5)
        assert not answer.got
        leadership.compute(a=AnswerKind.APPLIED, b=AnswerKind.REJECTED)
    else:
        leadership.compute(a=AnswerKind.APPLIED, b=AnswerKind.REJECTED)
        assert not answer.got
        leadership.commit()
    assert answer.results == [(Status.APPLIED, 5, ""), (Status.REJECTED, 5, "no such entity")]


def test_an_id_that_a_tick_before_has_answered_is_not_recorded_and_is_answered_when_that_tick_is_committed() -> None:
    leadership = Leadership()
    (first,), _ = leadership.admit(commands("a"))
    leadership.compute(a=AnswerKind.APPLIED)
    (again,), recorded = leadership.admit(commands("a"))
    assert recorded == []
    leadership.compute()
    assert not again.got
    leadership.commit(1)
    assert first.results == [(Status.APPLIED, 1, "")]
    assert again.results == [(Status.DUPLICATE, 1, "")]


def test_an_id_that_comes_twice_into_a_tick_is_recorded_once() -> None:
    leadership = Leadership()
    (first, second), recorded = leadership.admit(commands("a"), commands("b", "a"))
    assert recorded == ["a", "b"]
    leadership.compute(a=AnswerKind.REJECTED, b=AnswerKind.APPLIED)
    leadership.commit()
    assert first.results == [(Status.REJECTED, 1, "no such entity")]
    assert second.results == [(Status.APPLIED, 1, ""), (Status.DUPLICATE, 1, "no such entity")]


def test_an_answer_of_another_leadership_is_known_from_the_state() -> None:
    leadership = Leadership(7)
    leadership.knows("a", AnswerKind.REJECTED, tick=3, reason="too late")
    (answer,), recorded = leadership.admit(commands("a", "b"))
    assert recorded == ["b"]
    leadership.compute(b=AnswerKind.APPLIED)
    leadership.commit()
    assert answer.results == [(Status.DUPLICATE, 3, "too late"), (Status.APPLIED, 8, "")]


def test_a_command_whose_entity_moved_names_the_area_and_its_replicas() -> None:
    leadership = Leadership()
    (answer,), _ = leadership.admit(commands("a", attempt=1))
    leadership.compute(a=AnswerKind.MOVED)
    leadership.commit()
    assert answer.only.results == [Result("a", Status.MOVED, 1, area="east", urls=("http://127.0.0.1:2",))]


def test_of_a_command_that_moved_only_a_later_attempt_is_recorded() -> None:
    leadership = Leadership()
    leadership.knows("a", AnswerKind.MOVED, tick=0, area=9)
    (same, later), recorded = leadership.admit(commands("a", attempt=1), commands("a", attempt=2))
    assert recorded == ["a"]
    leadership.compute(a=AnswerKind.APPLIED)
    leadership.commit()
    assert same.only.results == [Result("a", Status.MOVED, 0)]
    assert later.results == [(Status.APPLIED, 1, "")]


def test_a_forwarded_command_is_answered_when_its_answer_is_back_and_others_do_not_wait() -> None:
    leadership = Leadership()
    (forwarded, other), _ = leadership.admit(commands("a"), commands("b"))
    leadership.compute(a=AnswerKind.FORWARDED, b=AnswerKind.APPLIED)
    leadership.commit()
    assert other.results == [(Status.APPLIED, 1, "")]
    (again,), recorded = leadership.admit(commands("a"))
    assert recorded == []
    leadership.compute()
    leadership.commit()
    assert not forwarded.got
    leadership.compute(a=AnswerKind.REJECTED)
    leadership.commit()
    assert forwarded.results == [(Status.REJECTED, 3, "no such entity")]
    assert again.results == [(Status.DUPLICATE, 3, "no such entity")]


def test_a_batch_whose_forwarded_command_is_not_answered_has_an_unknown_outcome() -> None:
    leadership = Leadership()
    (forwarded,), _ = leadership.admit(commands("a"))
    leadership.compute(a=AnswerKind.FORWARDED)
    for _tick in range(PATIENCE - 1):
        leadership.compute()
        leadership.commit()
    assert not forwarded.got
    leadership.compute()
    assert isinstance(forwarded.got[0], BatchInterruptedError)


def test_a_lost_leadership_answers_what_is_under_way_and_only_once() -> None:
    leadership = Leadership()
    (answer,), _ = leadership.admit(commands("a"))
    leadership.in_flight.fail_all()
    leadership.compute(a=AnswerKind.APPLIED)
    leadership.commit()
    assert len(answer.got) == 1
    assert isinstance(answer.got[0], BatchInterruptedError)


def test_memory_of_finished_ticks_is_let_go() -> None:
    leadership = Leadership()
    for tick in range(1, 200):
        leadership.admit(commands(f"c{tick}"))
        leadership.compute(**{f"c{tick}": AnswerKind.APPLIED})
        leadership.commit()
    assert not leadership.in_flight._waiting
