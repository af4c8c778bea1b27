"""The bounded inbox: whole batches, in order, and no more than a record holds."""

from __future__ import annotations

import pytest

from pairsim.model.commands import Command
from pairsim.replication.links import arrivals
from pairsim.replication.log.records import Tick, encode_record
from pairsim.replication.raft.pysyncobj.raft import MAX_COMMAND_BYTES
from pairsim.replication.replica.inbox import MAX_RECORD_BYTES, Inbox
from pairsim.replication.replica.perception import MAX_PERCEIVED_BYTES
from pairsim.replication.service import BatchInterruptedError, BatchTooLargeError, InboxFullError
from tests.unit.replication.replica.test_in_flight import Answers, commands


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


def test_what_waits_without_an_active_is_answered() -> None:
    inbox, answer = Inbox(10), Answers()
    inbox.put(commands("a"), answer)
    inbox.interrupt()
    assert isinstance(answer.got[0], BatchInterruptedError)
    assert inbox.take() == []


def test_a_tick_takes_no_more_than_its_record_holds() -> None:
    wide = {"values": [0.5] * 1000}
    inbox = Inbox(1000)
    for name in "abc":
        inbox.put([Command(f"{name}{n}", "set", n, wide) for n in range(200)], Answers())
    while batches := inbox.take():
        assert sum(batch.bytes for batch in batches) <= MAX_RECORD_BYTES
        taken = [c for batch in batches for c in batch.commands]
        assert len(encode_record(Tick(1, 2, 3, 0, taken))) < MAX_RECORD_BYTES + 100
        assert len(batches) == 1


def test_a_batch_that_no_tick_could_take_is_refused() -> None:
    inbox = Inbox(1000)
    with pytest.raises(BatchTooLargeError, match="send it in parts"):
        inbox.put([Command(f"c{n}", "set", n, {"values": [0.5] * 1000}) for n in range(500)], Answers())
    assert inbox.waiting == 0


def test_the_fullest_record_fits_into_the_log() -> None:
    longest = encode_record(Tick(2**62, 2**62, 2**63, 2**62, []))
    commands = MAX_RECORD_BYTES + MAX_PERCEIVED_BYTES
    borders = max(arrivals.MAX_RECORD_BYTES, arrivals.MAX_ENTRY_BYTES)  # one entry alone may be larger than the others
    assert len(longest) + commands + borders + 2**16 <= MAX_COMMAND_BYTES
