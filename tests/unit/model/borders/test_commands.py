"""Commands to entities that moved, that come with a client and with an area that follows."""

from __future__ import annotations

from pairsim.model.borders import (
    Answer,
    AnswerKind,
    BorderInputs,
    BorderLimits,
    ForwardedAnswer,
    ForwardedCommand,
    decide,
    settle,
)
from pairsim.model.borders.answers import command_key
from tests.unit.model.borders.examples import TestedArea, command, inputs_from


def moved_pair(limits: BorderLimits = BorderLimits()) -> tuple[TestedArea, TestedArea]:  # noqa: B008
    """Returns two areas; the entity 1 went from the first to the second one."""
    area, other = TestedArea(1, limits=limits), TestedArea(2, limits=limits)
    area.put(1, x=15.0)
    area.put(2)
    area.run()
    other.run(inputs_from(area, other))
    area.run(inputs_from(other, area))
    return area, other


def test_a_command_runs_where_its_entity_is() -> None:
    area, _ = moved_pair()
    (decided,) = decide(area.state, area.table, [command(2)], 0)
    assert (decided.runs, decided.answer.kind) == (True, AnswerKind.APPLIED)


def test_a_client_that_follows_learns_where_its_entity_went_and_counts_attempts() -> None:
    area, other = moved_pair()
    (decided,) = decide(area.state, area.table, [command(1)], 0)
    assert (decided.runs, decided.answer) == (False, Answer(AnswerKind.MOVED, 1, 1, 2))
    (there,) = decide(other.state, other.table, [command(1, attempt=2)], 0)
    assert there.runs
    (again,) = decide(other.state, other.table, [command(1, attempt=3)], 0)
    assert (again.runs, again.answer.kind) == (False, AnswerKind.APPLIED)


def test_of_an_unknown_entity_an_area_knows_no_place() -> None:
    area, _ = moved_pair()
    (decided,) = decide(area.state, area.table, [command(77)], 0)
    assert (decided.runs, decided.answer.kind, decided.answer.area) == (False, AnswerKind.MOVED, 0)


def test_a_client_that_does_not_follow_is_told_by_the_step_that_an_entity_is_missing() -> None:
    area, _ = moved_pair()
    (decided,) = decide(area.state, area.table, [command(77, follows=False)], 0)
    assert decided.runs
    settle(area.state, (), {"c1": "entity 77 does not exist"})
    known = area.state.answers.get(command_key("c1"))
    assert known is not None
    assert (known.kind, known.reason) == (AnswerKind.REJECTED, "entity 77 does not exist")


def test_an_id_is_free_for_a_spawn_after_its_entity_was_despawned_in_the_same_tick() -> None:
    area, _ = moved_pair()
    attempts = [command(2, "c1", op="spawn"), command(2, "c2", op="despawn"), command(2, "c3", op="spawn")]
    assert [decided.runs for decided in decide(area.state, area.table, attempts, 0)] == [False, True, True]


def test_an_answer_has_the_tick_in_which_its_area_gave_or_got_it() -> None:
    area, other = TestedArea(1), TestedArea(2)
    area.put(1, x=15.0)
    (decided,) = decide(area.state, area.table, [command(1)], 7)
    assert decided.answer.tick == 7
    area.run()
    other.run(inputs_from(area, other))
    known = other.state.answers.get(command_key("c1"))
    assert known is not None
    assert known.tick == other.tick


def test_an_entity_that_is_spawned_in_the_same_tick_is_there_for_its_commands() -> None:
    area, _ = moved_pair()
    attempts = [command(9, "c1", "push")]
    attempts += [command(9, "c2", "spawn"), command(9, "c3", "spawn"), command(2, "c4", "spawn")]
    first, second, third, fourth = decide(area.state, area.table, attempts, 0)
    assert (first.runs, second.runs, third.runs, fourth.runs) == (True, True, False, False)
    assert third.answer.reason == fourth.answer.reason.replace("2", "9") == "entity 9 exists already"


def test_an_id_on_its_way_is_not_given_to_a_new_entity() -> None:
    area = TestedArea(1)
    area.put(1, x=15.0)
    area.run()
    (decided,) = decide(area.state, area.table, [command(1, op="spawn")], 0)
    assert (decided.runs, decided.answer.reason) == (False, "entity 1 is on its way to another area")


def test_a_rejection_is_the_answer_and_travels_with_its_entity() -> None:
    area, other = TestedArea(1), TestedArea(2)
    area.put(1, x=15.0)
    decide(area.state, area.table, [command(1)], 0)
    settle(area.state, (), {"c1": "too hot " * 100})
    area.run()
    other.run(inputs_from(area, other))
    (decided,) = decide(other.state, other.table, [command(1, attempt=5)], 0)
    assert (decided.runs, decided.answer.kind) == (False, AnswerKind.REJECTED)
    assert decided.answer.reason == ("too hot " * 100)[:256]


def test_an_area_follows_for_its_client_and_gets_the_answer() -> None:
    area, other = moved_pair()
    area.take()
    (decided,) = decide(area.state, area.table, [command(1, follows=False)], 0)
    area.cross()
    assert decided.answer == Answer(AnswerKind.FORWARDED, 1, 1, 2)
    taken = other.take(inputs_from(area, other))
    assert [(o.command.id, o.attempt, o.origin) for o in taken.orders] == [("c1", 2, 1)]
    settle(other.state, taken.orders, {"c1": "no fuel"})
    other.cross()
    area.run(inputs_from(other, area))
    assert area.state.answers.get(command_key("c1")) == Answer(AnswerKind.REJECTED, 2, 1, 0, "no fuel", area.tick)


def test_a_forwarded_command_that_comes_twice_runs_once() -> None:
    area, other = moved_pair()
    for _ in range(2):
        area.state.send(2, ForwardedCommand(command(1).command, 2, 1))
    taken = other.take(inputs_from(area, other))
    assert len(taken.orders) == 1


def test_an_area_gives_up_following_at_the_last_attempt() -> None:
    area, other = moved_pair(BorderLimits(attempts=3))
    other.move(1, 5.0)
    other.run()
    area.state.send(2, ForwardedCommand(command(1).command, 2, 1))
    area.state.send(2, ForwardedCommand(command(1, "c2").command, 3, 1))
    other.run(inputs_from(area, other))
    bodies = [message.body for message in other.state.link(1).outbox.values()][1:]
    assert isinstance(bodies[0], ForwardedCommand)
    assert bodies[0].attempt == 3
    assert bodies[1] == ForwardedAnswer(command_key("c2"), Answer(AnswerKind.MOVED, 3, 1, tick=other.tick))


def test_an_answer_that_no_command_waits_for_is_ignored() -> None:
    area, other = moved_pair()
    area.run(BorderInputs(), command(2))
    other.state.send(1, ForwardedAnswer(command_key("c1"), Answer(AnswerKind.MOVED, 9, 2, 2)))
    other.state.send(1, ForwardedAnswer(command_key("c7"), Answer(AnswerKind.MOVED, 9, 2, 2)))
    area.run(inputs_from(other, area))
    known = area.state.answers.get(command_key("c1"))
    assert known is not None
    assert known.kind is AnswerKind.APPLIED
    assert area.state.answers.get(command_key("c7")) is None


def test_few_commands_wait_for_an_area_that_does_not_answer() -> None:
    area, _ = moved_pair(BorderLimits(orders=2))
    attempts = [command(1, f"c{number}", follows=False) for number in range(4)]
    kinds = [decided.answer.kind for decided in decide(area.state, area.table, attempts, 0)]
    assert kinds == [AnswerKind.FORWARDED] * 2 + [AnswerKind.MOVED] * 2
