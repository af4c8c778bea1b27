"""What committed records change in the tick log of an area."""

from __future__ import annotations

import pytest

from pairsim.model.commands import Command
from pairsim.replication.log import tick_log
from pairsim.replication.log.records import Open, Order, Record, Seal, Tick, encode_record
from pairsim.replication.log.tick_log import TickLog
from tests.builders import assignment, cube

BOX = cube(1.0)


def new() -> TickLog:
    return TickLog()


def apply(log: TickLog, *records: Record) -> None:
    for record in records:
        log.apply(encode_record(record))


def tick(term: int, number: int, *ids: str, floor: int = 0) -> Tick:
    return Tick(term, number, number * 7, floor, [Command(i, "add", 1) for i in ids])


def seal(term: int, number: int) -> Seal:
    return Seal(term, number, assignment("a", "b", "w", generation=2, joins=("b",)))


def test_each_tick_is_applied_once_and_without_a_gap() -> None:
    log = new()
    apply(log, Open(1), tick(1, 1), tick(1, 1), tick(1, 3), tick(1, 2))
    assert log.tick == 2
    assert log.fenced == 2


def test_a_record_of_another_term_than_the_opened_one_changes_nothing() -> None:
    log = new()
    apply(log, tick(1, 1), Open(2), tick(1, 1), tick(3, 1), tick(2, 1), Open(1), tick(1, 2))
    assert (log.term, log.tick, log.fenced) == (2, 1, 5)


def test_a_seal_names_the_last_tick_and_later_records_are_ignored() -> None:
    log = new()
    apply(log, Open(1), tick(1, 1), seal(1, 0))
    assert log.sealed is None
    apply(log, seal(1, 1), tick(1, 2), Open(2), tick(2, 2))
    assert log.sealed is not None
    assert (log.term, log.tick) == (1, 1)
    log.unseal()
    apply(log, Open(2), tick(2, 2))
    assert (log.term, log.tick) == (2, 2)


def test_records_above_the_floor_bring_an_old_state_to_the_last_tick() -> None:
    log = new()
    apply(log, Open(1), *(tick(1, n, floor=max(0, n - 30)) for n in range(1, 101)))
    assert log.reaches(70)
    assert not log.reaches(10)
    assert not log.reaches(101)
    assert len(log.payloads_after(90)) == 10
    assert log.payload(95) == encode_record(tick(1, 95, floor=65))
    assert log.payload(5) is None


def test_a_snapshot_holds_everything() -> None:
    log = new()
    apply(log, Open(3), tick(3, 1, "a"), tick(3, 2, "b"), seal(3, 2))
    other = new()
    other.restore(log.snapshot())
    assert (other.term, other.tick, other.sealed) == (log.term, log.tick, log.sealed)
    assert other.payloads_after(0) == log.payloads_after(0)
    assert other.snapshot() == log.snapshot()


def test_records_of_a_snapshot_count_towards_the_bound_of_retained_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    log, other = new(), new()
    apply(log, Open(1), *(tick(1, n) for n in range(1, 21)))
    bound = sum(map(len, log.payloads_after(0)))
    monkeypatch.setattr(tick_log, "MAX_RETAINED_BYTES", bound)
    other.restore(log.snapshot())
    assert other.reaches(0)
    apply(other, tick(1, 21))
    assert not other.reaches(0)
    assert sum(map(len, other.payloads_after(0))) <= bound


def test_an_older_snapshot_is_ignored() -> None:
    old, log = new(), new()
    apply(old, Open(1), tick(1, 1))
    apply(log, Open(1), tick(1, 1), tick(1, 2))
    log.restore(old.snapshot())
    assert log.tick == 2


def test_bytes_that_are_not_a_record_are_skipped() -> None:
    log = new()
    log.apply(b"\xc1 nonsense")
    apply(log, Open(1), tick(1, 1))
    assert log.tick == 1


def test_a_snapshot_holds_the_moment_at_which_it_began() -> None:
    log = new()
    apply(log, Open(1), tick(1, 1, "a", "b"), tick(1, 2), tick(1, 3, "c"))
    pack, at_once = log.begin_snapshot(), log.snapshot()
    apply(log, tick(1, 4, "d"), seal(1, 4))
    assert pack() == at_once
    again = new()
    again.restore(at_once)
    assert (again.tick, again.sealed, again.payloads_after(0)) == (3, None, log.payloads_after(0)[:3])
    assert again.snapshot() == at_once


def test_a_snapshot_has_the_ids_of_the_last_tick() -> None:
    """An order may leave one of them out."""
    log, other = new(), new()
    apply(log, Open(1), tick(1, 1, "a"), tick(1, 2, "b", "c"))
    other.restore(log.snapshot())
    assert list(other.last_commands) == ["b", "c"]


class Heard:
    """A listener that records what it hears."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def on_open(self, term: int) -> None:
        self.events.append(("open", term))

    def on_tick(self, record: Tick, payload: bytes) -> None:
        self.events.append(("tick", record.tick))

    def on_order(self, order: Order) -> None:
        self.events.append(("order", order.tick))

    def on_seal(self, seal: Seal) -> None:
        self.events.append(("seal", seal.tick))


def test_the_listener_hears_only_what_counts() -> None:
    log = new()
    log.listener = heard = Heard()
    apply(log, Open(1), Open(1), tick(1, 1), tick(1, 1), tick(2, 2), seal(1, 1), seal(1, 1), Open(2))
    assert heard.events == [("open", 1), ("tick", 1), ("seal", 1)]


def test_a_seal_in_a_snapshot_is_heard() -> None:
    """A survivor that the log does not reach any more learns of the seal in this way only."""
    sealed, log = new(), new()
    apply(sealed, Open(1), tick(1, 1), seal(1, 1))
    log.listener = heard = Heard()
    log.restore(sealed.snapshot())
    assert heard.events == [("seal", 1)]
