"""Readers see committed ticks only, and never an unconfirmed state."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pairsim.model.authority import Authority
from pairsim.model.borders import AreaMap, BorderState
from pairsim.replication.log.records import Open
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.service import NoStateError, Published
from pairsim.replication.sync import state as state_module
from pairsim.replication.sync.state import ReplicaState, state_digest
from tests.unit.replication.log.test_tick_log import apply, new, tick
from tests.unit.replication.tables import BORDERS, table


def state_at(number: int) -> ReplicaState:
    state = ReplicaState("west", table(3))
    with state.lock:
        state.mark_tick(number)
    return state


def test_a_tick_is_not_read_before_it_is_committed() -> None:
    log, state = new(), state_at(1)
    apply(log, Open(1))
    with pytest.raises(TimeoutError, match="committed tick"):
        state.read(lambda area: area.published, log, 0.05)
    seen: list[Published] = []
    reader = threading.Thread(target=lambda: seen.append(state.read(lambda area: area.published, log, 10.0)))
    reader.start()
    apply(log, tick(1, 1))
    state.notify()
    reader.join(10.0)
    assert seen == [Published(1, 1)]


def test_an_unconfirmed_state_gives_no_digests() -> None:
    state = state_at(1)
    digests = state.digests(0, 10)
    assert digests.keys() == {1}
    state.unconfirmed_term = 1
    assert state.digests(0, 10) == {}
    state.unconfirmed_term = None
    assert state.digests(0, 10) == digests
    state.valid = False
    assert state.digests(0, 10) == {}


def test_an_unconfirmed_or_invalid_state_is_not_read() -> None:
    log, state = new(), state_at(1)
    apply(log, Open(1), tick(1, 1))
    state.unconfirmed_term = 1
    with pytest.raises(TimeoutError):
        state.read(lambda area: area.published, log, 0.02)
    state.valid = False
    with pytest.raises(NoStateError):
        state.read(lambda area: area.published, log, 0.02)


def test_a_leadership_that_is_lost_while_a_reader_looks_hides_the_state() -> None:
    """The loss comes before the log grows, so a reader that saw the new commit must see the loss, too."""
    state = state_at(2)

    class LosingLog(TickLog):
        def position(self) -> tuple[int, int]:
            state.unconfirmed_term = 1
            return 2, 2

    with pytest.raises(TimeoutError):
        state.read(lambda area: area.published, LosingLog(), 0.02)


def test_ticks_that_do_not_stand_make_the_state_invalid_before_it_counts_as_settled() -> None:
    state = state_at(2)
    state.unconfirmed_term = 1
    state.settle(stands=False)
    assert (state.valid, state.unconfirmed_term, state.confirmed) == (False, None, False)
    other = state_at(2)
    other.unconfirmed_term = 1
    other.settle(stands=True)
    assert other.confirmed


class _ChangingDigests(dict[int, int]):
    """Digests that another thread changes while they are read, as soon as it can."""

    def __init__(self, state: ReplicaState) -> None:
        super().__init__(state._digests)
        self._state = state
        self.changer = threading.Thread(target=self._change)

    def _change(self) -> None:
        with self._state.lock:
            self._state.mark_tick(99)

    def items(self) -> Iterator[tuple[int, int]]:  # type: ignore[override]
        for number, item in enumerate(super().items()):
            if number == 0:
                self.changer.start()
                # The changer ends, or waits for the lock that this thread holds.
                while self.changer.is_alive() and not self._state._digests_lock.locked():
                    self.changer.join(0.001)
            yield item


def test_digests_are_read_while_another_thread_adds_some() -> None:
    state = state_at(1)
    with state.lock:
        state.mark_tick(2)
    changing = state._digests = _ChangingDigests(state)
    assert state.digests(0, 100).keys() == {1, 2}
    changing.changer.join(10.0)
    state._digests = dict(changing)
    assert state.digests(99, 99).keys() == {99}
    assert state.digest_text(99) == state.digests(99, 99)[99]
    assert state.digest_text(98) == ""
    state.unconfirmed_term = 1
    assert state.digest_text(99) == ""


def test_a_read_ends_in_time_although_a_tick_does_not() -> None:
    log, state = new(), state_at(1)
    apply(log, Open(1), tick(1, 1))
    with state.lock, pytest.raises(TimeoutError, match="a tick is being computed"):
        state.read(lambda area: area.published, log, 0.05)


def test_the_digests_of_ticks_that_were_undone_are_forgotten() -> None:
    state = state_at(1)
    with state.lock:
        state.mark_tick(2)
    state.unconfirmed_term = 1
    state.replace(table(3, seed=5), BORDERS, 1)
    assert state.digests(0, 10).keys() == {1}


def test_a_confirmed_state_keeps_its_digests_when_a_keyframe_replaces_it() -> None:
    state = state_at(1)
    state.replace(table(3, seed=5), BORDERS, 2)
    assert state.digests(0, 10).keys() == {1, 2}


def test_the_oldest_digests_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_module, "DIGESTS_KEPT", 3)
    state = state_at(1)
    for number in (2, 3, 1, 4):
        with state.lock:
            state.mark_tick(number)
    assert state.digests(0, 10).keys() == {3, 1, 4}


def test_no_digests_outside_of_the_asked_ticks_are_returned() -> None:
    state = state_at(1)
    for number in (2, 3, 4):
        with state.lock:
            state.mark_tick(number)
    assert state.digests(2, 3).keys() == {2, 3}


def computed(state: ReplicaState, *numbers: int, committed: int = 0) -> None:
    """Lets the active compute ticks, each of which changes the state."""
    for number in numbers:
        with state.lock:
            state.table.column("value")[:] = number
            state.mark_tick(number)
        state.take_snapshot(committed)


def read(state: ReplicaState, log: TickLog) -> tuple[int, int]:
    """Returns the tick that a reader gets, and the number in the state that it gets."""
    return state.read(lambda area: (area.published.tick, int(area.table.column("value")[0])), log, 0.02)


def test_the_active_reads_the_newest_committed_snapshot() -> None:
    log, state = new(), state_at(0)
    apply(log, Open(1), tick(1, 1), tick(1, 2))
    computed(state, 1, 2, 3, 4, committed=0)
    with state.lock:  # the next tick is being computed
        assert read(state, log) == (2, 2)
        apply(log, tick(1, 3))
        assert read(state, log) == (3, 3)
    computed(state, 5, committed=3)
    assert read(state, log) == (3, 3)
    assert state.newest_computed(2) is None, "a snapshot that no reader needs is kept"
    state.drop_snapshots()
    with pytest.raises(TimeoutError, match="committed tick"):
        read(state, log)


def test_no_snapshot_is_read_while_the_state_is_unconfirmed() -> None:
    log, state = new(), state_at(0)
    apply(log, Open(1), tick(1, 1))
    computed(state, 1, 2)
    assert read(state, log) == (1, 1)
    state.unconfirmed_term = 1
    with pytest.raises(TimeoutError):
        read(state, log)


def later(state: ReplicaState, version: int = 1) -> BorderState:
    """Returns the borders of a next tick, which knows a map."""
    borders = state.borders.copy()
    borders.clock, borders.map = borders.clock + 1, AreaMap(version)
    return borders


def test_the_digest_is_that_of_entities_and_borders() -> None:
    both = (BORDERS, later(state_at(1)))
    digests = {state_digest(content, borders) for content in (table(3), table(4)) for borders in both}
    assert len(digests) == 4


def test_a_computed_tick_has_the_digest_of_entities_and_borders() -> None:
    state = state_at(1)
    with state.lock:
        state.borders = later(state)
        state.mark_computed(2, 1)
    assert state.digest(2) == state_digest(state.table, state.borders)


def test_a_state_that_leaves_its_engine_has_the_borders_of_its_tick() -> None:
    state = state_at(1)
    before = state.take_snapshot(1).borders
    with state.lock:
        state.borders = later(state)
    state.leave_engine()
    assert (state.tick, state.borders) == (1, before)


def test_a_tick_that_is_taken_back_takes_its_borders_along() -> None:
    state = state_at(1)
    before = state.take_snapshot(1).borders
    with state.lock:
        state.borders = later(state)
        state.take_back()
    assert state.borders is before


def test_a_discarded_state_has_no_borders() -> None:
    state = state_at(1)
    state.borders = later(state)
    state.discard()
    assert state.borders.digest() == BorderState(0).digest()


def test_the_authority_of_a_computed_tick_is_not_shown_before_its_commit() -> None:
    state = state_at(1)
    state.take_snapshot(1)
    with state.lock:
        state.borders = later(state, version=2)
        state.mark_computed(2, 1)
    assert state.authority(1) == Authority.before_grants("west")
    assert state.authority(2) == Authority(area="west", version=2, cells=())


def test_entities_and_borders_that_a_reader_gets_are_of_one_tick() -> None:
    log, state = new(), state_at(0)
    apply(log, Open(1), tick(1, 1), tick(1, 2))
    for number in (1, 2, 3):
        state.borders = later(state, number)
        computed(state, number)
    seen = state.read(
        lambda view: (view.published.tick, view.table.column("value")[0], view.borders.map.version), log, 1
    )
    assert seen == (2, 2, 2)
    state.drop_snapshots()
    apply(log, tick(1, 3))
    assert state.read(lambda view: (view.published.tick, view.borders.map.version), log, 1) == (3, 3)
