"""The ledger: what an area must hold after what it answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pairsim.model.commands import Command, Result, Status
from pairsim_chaos.probe.ledger import MAX_LIVE, Ledger


def answer(ledger: Ledger, commands: list[Command], tick: int = 1) -> None:
    ledger.answered(commands, [Result(command.id, Status.APPLIED, tick) for command in commands])


def test_an_acknowledged_spawn_that_is_not_there_is_lost() -> None:
    ledger = Ledger()
    first, second = ledger.batch(2, {})
    answer(ledger, [first, second])
    account = ledger.compare([first.entity], ledger.claims())
    assert account.lost == (second.entity,)
    assert (account.acknowledged, account.unknown) == (2, 0)


def test_nothing_is_claimed_of_what_was_not_answered() -> None:
    ledger = Ledger()
    first, second = ledger.batch(2, {})
    claims = ledger.claims()
    for there in ([], [first.entity], [second.entity], [first.entity, second.entity]):
        account = ledger.compare(there, claims)
        assert (account.lost, account.revived, account.doubled) == ((), (), ())
    assert account.unknown == 2


def test_an_entity_that_is_listed_twice_is_doubled() -> None:
    ledger = Ledger()
    (command,) = ledger.batch(1, {})
    answer(ledger, [command])
    assert ledger.compare([command.entity, command.entity], ledger.claims()).doubled == (command.entity,)


def test_an_entity_that_is_there_after_its_end_is_revived() -> None:
    ledger = Ledger()
    commands = ledger.batch(MAX_LIVE + 1, {})
    answer(ledger, commands)
    spawn, end = ledger.batch(1, {})
    assert (end.op, end.entity) == ("despawn", commands[0].entity)
    kept = [command.entity for command in commands[1:]]
    assert ledger.compare(kept, ledger.claims()).revived == ()
    assert ledger.compare([*kept, end.entity], ledger.claims()).revived == ()
    answer(ledger, [spawn, end])
    account = ledger.compare([*kept, spawn.entity, end.entity], ledger.claims())
    assert (account.revived, account.lost) == ((end.entity,), ())


def test_a_duplicate_is_an_answer_and_a_refusal_a_violation() -> None:
    ledger = Ledger()
    first, second = ledger.batch(2, {})
    ledger.answered(
        [first, second],
        [Result(first.id, Status.DUPLICATE, 3), Result(second.id, Status.REJECTED, 4, "the entity is there already")],
    )
    assert ledger.acknowledged == 1
    account = ledger.compare([first.entity], ledger.claims())
    assert account.lost == ()
    assert account.refused.count == 1
    assert "there already" in account.refused.sentences[0]


def test_what_was_turned_away_as_a_whole_is_as_if_it_had_not_been_sent() -> None:
    ledger = Ledger()
    commands = ledger.batch(3, {})
    ledger.untouched(commands)
    account = ledger.compare([commands[0].entity], ledger.claims())
    assert account.unknown == 0
    assert account.revived == (commands[0].entity,)


def test_what_is_acknowledged_while_a_state_is_read_need_not_be_in_it() -> None:
    ledger = Ledger()
    old = ledger.batch(1, {})
    answer(ledger, old)
    claims = ledger.claims()
    new = ledger.batch(1, {})
    answer(ledger, new)
    for read in ([old[0].entity], [old[0].entity, new[0].entity]):
        account = ledger.compare(read, claims)
        assert (account.lost, account.revived) == ((), ())


def test_what_is_taken_away_while_a_state_is_read_may_be_in_it() -> None:
    ledger = Ledger()
    commands = ledger.batch(MAX_LIVE + 1, {})
    answer(ledger, commands)
    claims = ledger.claims()
    answer(ledger, ledger.batch(1, {}))
    rest = [command.entity for command in commands[1:]]
    for read in (rest, [commands[0].entity, *rest]):
        account = ledger.compare(read, claims)
        assert (account.lost, account.revived) == ((), ())


def test_entities_of_others_are_passed_over() -> None:
    ledger = Ledger()
    other = Ledger()
    (foreign,) = other.batch(1, {})
    account = ledger.compare([5, 5, foreign.entity], ledger.claims())
    assert (account.lost, account.revived, account.doubled) == ((), (), ())


def test_memory_is_bounded_by_the_entities_that_are_there() -> None:
    ledger = Ledger()
    for _ in range(3 * MAX_LIVE // 100):
        answer(ledger, ledger.batch(100, {}))
    assert len(ledger._fates) <= MAX_LIVE + 100
    assert len(ledger.leftovers()) == len(ledger._fates)


@given(st.lists(st.sampled_from(["applied", "duplicate", "silent", "turned away"]), max_size=60), st.data())
def test_a_state_that_did_what_it_acknowledged_is_never_blamed(answers: list[str], data: st.DataObject) -> None:
    """Batches of which the area did everything, or what it pleased if it did not answer."""
    ledger, there = Ledger(), set[int]()
    for what in answers:
        commands = ledger.batch(MAX_LIVE // 4, {})
        done = what in {"applied", "duplicate"} or (what == "silent" and data.draw(st.booleans()))
        for command in commands if done else ():
            (there.add if command.op == "spawn" else there.discard)(command.entity)
        if what == "turned away":
            ledger.untouched(commands)
        elif what != "silent":
            status = Status.APPLIED if what == "applied" else Status.DUPLICATE
            ledger.answered(commands, [Result(command.id, status, 1) for command in commands])
    account = ledger.compare(there, ledger.claims())
    assert (account.lost, account.revived, account.doubled, account.refused.count) == ((), (), (), 0)
