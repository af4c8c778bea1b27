from __future__ import annotations

import threading

import pytest

from pairsim.replication.log.records import Open
from pairsim.replication.service import NoStateError, Published
from pairsim.replication.sync.state import State
from tests.unit.replication.log.test_tick_log import apply, new, tick
from tests.unit.replication.tables import table


def at(number: int) -> State:
    state = State(table(3))
    with state.lock:
        state.at(number)
    return state


def test_nobody_reads_a_tick_before_it_is_committed() -> None:
    log, state = new(), at(1)
    apply(log, Open(1))
    with pytest.raises(TimeoutError, match="committed tick"):
        state.read(lambda _table, published: published, log, 0.05)
    seen: list[Published] = []
    reader = threading.Thread(target=lambda: seen.append(state.read(lambda _table, published: published, log, 10.0)))
    reader.start()
    apply(log, tick(1, 1))
    state.notify()
    reader.join(10.0)
    assert seen == [Published(1, 1)]


def test_digests_of_a_state_in_doubt_are_not_told() -> None:
    state = at(1)
    told = state.digests(0, 10)
    assert told.keys() == {1}
    state.doubt = 1
    assert state.digests(0, 10) == {}
    state.doubt = None
    assert state.digests(0, 10) == told
    state.valid = False
    assert state.digests(0, 10) == {}


def test_nobody_reads_a_state_in_doubt_or_none() -> None:
    log, state = new(), at(1)
    apply(log, Open(1), tick(1, 1))
    state.doubt = 1
    with pytest.raises(TimeoutError):
        state.read(lambda _table, published: published, log, 0.02)
    state.valid = False
    with pytest.raises(NoStateError):
        state.read(lambda _table, published: published, log, 0.02)
