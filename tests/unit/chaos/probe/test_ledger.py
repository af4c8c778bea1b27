"""The write ledger: the entities that an area must hold after its answers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pairsim.model.commands import Command, Result, Status
from pairsim_chaos.probe.ledger import MAX_LIVE, WriteLedger


def answer(ledger: WriteLedger, commands: list[Command], tick: int = 1) -> None:
    ledger.on_answered(commands, [Result(command.id, Status.APPLIED, tick) for command in commands])


def test_an_acknowledged_spawn_that_is_missing_is_lost() -> None:
    ledger = WriteLedger()
    first, second = ledger.next_batch(2, {})
    answer(ledger, [first, second])
    result = ledger.reconcile([first.entity], ledger.expectation())
    assert result.lost == (second.entity,)
    assert (ledger.acknowledged, result.unknown) == (2, 0)


def test_nothing_is_expected_of_unanswered_commands() -> None:
    ledger = WriteLedger()
    first, second = ledger.next_batch(2, {})
    expected = ledger.expectation()
    for read in ([], [first.entity], [second.entity], [first.entity, second.entity]):
        result = ledger.reconcile(read, expected)
        assert (result.lost, result.revived, result.doubled) == ((), (), ())
    assert result.unknown == 2


def test_an_entity_that_is_listed_twice_is_doubled() -> None:
    ledger = WriteLedger()
    (command,) = ledger.next_batch(1, {})
    answer(ledger, [command])
    assert ledger.reconcile([command.entity, command.entity], ledger.expectation()).doubled == (command.entity,)


def test_an_entity_that_exists_after_its_acknowledged_despawn_is_revived() -> None:
    ledger = WriteLedger()
    commands = ledger.next_batch(MAX_LIVE + 1, {})
    answer(ledger, commands)
    spawn, end = ledger.next_batch(1, {})
    assert (end.op, end.entity) == ("despawn", commands[0].entity)
    kept = [command.entity for command in commands[1:]]
    assert ledger.reconcile(kept, ledger.expectation()).revived == ()
    assert ledger.reconcile([*kept, end.entity], ledger.expectation()).revived == ()
    answer(ledger, [spawn, end])
    result = ledger.reconcile([*kept, spawn.entity, end.entity], ledger.expectation())
    assert (result.revived, result.lost) == ((end.entity,), ())


def test_a_duplicate_counts_as_an_answer_and_a_refusal_as_a_violation() -> None:
    ledger = WriteLedger()
    first, second = ledger.next_batch(2, {})
    ledger.on_answered(
        [first, second],
        [Result(first.id, Status.DUPLICATE, 3), Result(second.id, Status.REJECTED, 4, "the entity is there already")],
    )
    assert ledger.acknowledged == 1
    result = ledger.reconcile([first.entity], ledger.expectation())
    assert result.lost == ()
    assert result.refused.count == 1
    assert "there already" in result.refused.sentences[0]


def test_a_rejected_batch_counts_as_not_sent() -> None:
    ledger = WriteLedger()
    commands = ledger.next_batch(3, {})
    ledger.on_not_applied(commands)
    result = ledger.reconcile([commands[0].entity], ledger.expectation())
    assert result.unknown == 0
    assert result.revived == (commands[0].entity,)


def test_entities_acknowledged_during_a_read_may_be_missing_from_it() -> None:
    ledger = WriteLedger()
    old = ledger.next_batch(1, {})
    answer(ledger, old)
    expected = ledger.expectation()
    new = ledger.next_batch(1, {})
    answer(ledger, new)
    for read in ([old[0].entity], [old[0].entity, new[0].entity]):
        result = ledger.reconcile(read, expected)
        assert (result.lost, result.revived) == ((), ())


def test_entities_despawned_during_a_read_may_be_in_it() -> None:
    ledger = WriteLedger()
    commands = ledger.next_batch(MAX_LIVE + 1, {})
    answer(ledger, commands)
    expected = ledger.expectation()
    answer(ledger, ledger.next_batch(1, {}))
    rest = [command.entity for command in commands[1:]]
    for read in (rest, [commands[0].entity, *rest]):
        result = ledger.reconcile(read, expected)
        assert (result.lost, result.revived) == ((), ())


def test_entities_of_others_are_ignored() -> None:
    ledger = WriteLedger()
    other = WriteLedger()
    (foreign,) = other.next_batch(1, {})
    result = ledger.reconcile([5, 5, foreign.entity], ledger.expectation())
    assert (result.lost, result.revived, result.doubled) == ((), (), ())


def test_memory_is_bounded_by_the_living_entities() -> None:
    ledger = WriteLedger()
    for _ in range(3 * MAX_LIVE // 100):
        answer(ledger, ledger.next_batch(100, {}))
    assert len(ledger._states) <= MAX_LIVE + 100
    assert len(ledger.cleanup_commands()) == len(ledger._states)


@given(st.lists(st.sampled_from(["applied", "duplicate", "silent", "rejected"]), max_size=60), st.data())
def test_a_state_that_matches_its_acknowledgements_has_no_violations(answers: list[str], data: st.DataObject) -> None:
    """The area applies every answered batch, and an unanswered batch by chance."""
    ledger, there = WriteLedger(), set[int]()
    for what in answers:
        commands = ledger.next_batch(MAX_LIVE // 4, {})
        done = what in {"applied", "duplicate"} or (what == "silent" and data.draw(st.booleans()))
        for command in commands if done else ():
            (there.add if command.op == "spawn" else there.discard)(command.entity)
        if what == "rejected":
            ledger.on_not_applied(commands)
        elif what != "silent":
            status = Status.APPLIED if what == "applied" else Status.DUPLICATE
            ledger.on_answered(commands, [Result(command.id, status, 1) for command in commands])
    result = ledger.reconcile(there, ledger.expectation())
    assert (result.lost, result.revived, result.doubled, result.refused.count) == ((), (), (), 0)


def test_a_command_that_was_answered_with_another_area_was_not_applied() -> None:
    ledger = WriteLedger()
    (spawn,) = ledger.next_batch(1, {})
    ledger.on_answered([spawn], [Result(spawn.id, Status.MOVED, 3, area="east")])
    assert ledger.acknowledged == 0
    assert not ledger.expectation().known


def test_an_entity_is_wrong_if_it_is_wrong_in_each_look() -> None:
    ledger = WriteLedger()
    commands = ledger.next_batch(3, {})
    ledger.on_answered(commands, [Result(each.id, Status.APPLIED, 1) for each in commands])
    first, second, third = (each.entity for each in commands)
    expected = ledger.expectation()
    looks = [ledger.reconcile(read, expected) for read in ([first, first], [first, second, first], [second, third])]
    assert not any(look.sound for look in looks)
    assert (looks[0].lost, looks[0].doubled) == ((second, third), (first,))
    agreed = looks[0].agreed(looks[1])
    assert (agreed.lost, agreed.doubled) == ((third,), (first,))
    assert agreed.agreed(looks[2]).sound
