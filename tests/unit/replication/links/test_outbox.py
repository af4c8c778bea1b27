"""Which entries of an outbox a connection sends."""

from __future__ import annotations

from pairsim.model.borders import Acknowledgement
from pairsim.replication.links.messages import Entry
from pairsim.replication.links.outbox import Outbox, OutboxCursor
from tests.unit.replication.links.entries import message


def acknowledged(taken: int) -> Acknowledgement:
    return Acknowledgement(taken=taken, sent=0, clock=1)


def outbox(first: int, last: int, size: int = 1) -> Outbox:
    return Outbox(first, [message(number, size) for number in range(first, last + 1)])


def sequences(entries: list[Entry]) -> list[int]:
    return [entry.sequence for entry in entries]


def test_nothing_is_sent_before_the_other_side_has_said_where_to_begin() -> None:
    connection = OutboxCursor()
    assert connection.due(outbox(1, 3)) == []
    connection.on_acknowledgement(acknowledged(1))
    assert connection.due(outbox(1, 3)) == [Entry(2, b"\2"), Entry(3, b"\3")]


def test_each_entry_is_sent_once_on_a_connection() -> None:
    connection = OutboxCursor()
    connection.on_acknowledgement(acknowledged(0))
    assert sequences(connection.due(outbox(1, 2))) == [1, 2]
    assert connection.due(outbox(1, 2)) == []
    assert sequences(connection.due(outbox(2, 3))) == [3]


def test_a_new_connection_sends_again_what_was_not_taken() -> None:
    first, second = OutboxCursor(), OutboxCursor()
    first.on_acknowledgement(acknowledged(0))
    first.due(outbox(1, 5))
    second.on_acknowledgement(acknowledged(2))
    assert sequences(second.due(outbox(1, 5))) == [3, 4, 5]


def test_entries_that_left_the_outbox_are_not_waited_for() -> None:
    connection = OutboxCursor()
    connection.on_acknowledgement(acknowledged(0))
    assert sequences(connection.due(outbox(4, 5))) == [4, 5]


def test_what_is_under_way_is_bounded() -> None:
    connection = OutboxCursor(window=25)
    connection.on_acknowledgement(acknowledged(0))
    assert sequences(connection.due(outbox(1, 9, size=10))) == [1, 2]
    connection.on_acknowledgement(acknowledged(1))
    assert sequences(connection.due(outbox(1, 9, size=10))) == [3]
    connection.on_acknowledgement(acknowledged(3))
    assert sequences(connection.due(outbox(1, 9, size=10))) == [4, 5]


def test_a_large_entry_goes_alone() -> None:
    connection = OutboxCursor(window=5)
    connection.on_acknowledgement(acknowledged(0))
    assert sequences(connection.due(outbox(1, 2, size=10))) == [1]
    assert connection.due(outbox(1, 2, size=10)) == []
    connection.on_acknowledgement(acknowledged(1))
    assert sequences(connection.due(outbox(1, 2, size=10))) == [2]
