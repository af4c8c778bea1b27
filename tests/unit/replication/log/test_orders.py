"""What orders about engines change in the tick log of an area."""

from __future__ import annotations

import msgspec

from pairsim.replication.log.orders import Orders, order_sentence
from pairsim.replication.log.records import Engines, Open, Skip
from pairsim.replication.log.tick_log import TickLog
from tests.unit.replication.log.test_tick_log import Heard, apply, new, tick


def log_with(*ids: str) -> TickLog:
    log = new()
    apply(log, Open(1), tick(1, 1, *ids))
    return log


def test_a_command_of_the_last_tick_is_left_out_once() -> None:
    log = log_with("a", "b")
    log.listener = heard = Heard()
    apply(log, Skip(1, 1, "b"), Skip(1, 1, "b"))
    assert log.orders == Orders(1, ((1, "b"),))
    assert (log.orders.left_out(1), log.orders.left_out(2)) == ({"b"}, frozenset())
    assert heard.events == [("order", 1)]
    assert log.fenced == 1


def test_only_a_command_of_the_last_tick_can_be_left_out() -> None:
    log = log_with("a")
    apply(log, Skip(1, 1, "b"), Skip(1, 2, "a"), Skip(2, 1, "a"), tick(1, 2), Skip(1, 1, "a"))
    assert log.orders == Orders()


def test_code_comes_into_force_for_the_next_tick_with_or_without_a_record() -> None:
    log = log_with("a")
    apply(log, Engines(1, 3, "far"), Engines(1, 2, "new"), Engines(1, 1, "newer"))
    assert log.orders == Orders(2, (), "newer")


def test_orders_survive_in_a_snapshot_and_are_forgotten_with_their_tick() -> None:
    log, other = log_with("a"), new()
    apply(log, Skip(1, 1, "a"), Engines(1, 1, "code"), *(tick(1, n, floor=n - 1) for n in range(2, 17)))
    other.restore(log.snapshot())
    assert other.orders == log.orders == Orders(2, ((1, "a"),), "code")
    assert other.snapshot() == log.snapshot()
    apply(log, *(tick(1, n, floor=n - 1) for n in range(17, 40)))
    assert log.payload(1) is None
    assert log.orders == Orders(2, (), "code"), "the revision never goes back"


def test_a_snapshot_of_an_earlier_release_has_no_orders() -> None:
    log, other = log_with("a"), new()
    fields = msgspec.msgpack.decode(log.snapshot())
    other.restore(msgspec.msgpack.encode(fields[:-1]))
    assert (other.tick, other.orders) == (1, Orders())
    assert other.payloads_after(0) == log.payloads_after(0)


def test_a_snapshot_from_before_an_order_does_not_take_it_back() -> None:
    log = log_with("a")
    before = log.snapshot()
    apply(log, Skip(1, 1, "a"))
    log.restore(before)
    assert log.orders.left_out(1) == {"a"}


def test_orders_as_sentences() -> None:
    named = Orders(1, (), "code")
    assert order_sentence(Skip(1, 7, "a"), named) == (
        "command a of tick 7 is left out, by an order: it is rejected as skipped"
    )
    assert order_sentence(Engines(1, 7, "new"), named) == (
        "ticks from 7 on are computed with other code of the simulator"
    )
    assert order_sentence(Engines(1, 7, "code"), named) == "new engines compute tick 7 and those after it, by an order"
    assert order_sentence(Engines(1, 1, "code"), Orders()) == "", "every area begins with it"


def test_engines_that_start_again_in_the_middle_of_a_replay_count() -> None:
    log = log_with("a")
    apply(log, tick(1, 2), Engines(1, 1, "code"))
    assert log.orders == Orders(1, (), "code")
