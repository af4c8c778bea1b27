"""Departures: the newest ticks, where an entity went last, and the same checksum on every way to the same content."""

from __future__ import annotations

import numpy as np

from pairsim.model.borders import DIED, BorderLimits, Departures, absent


def left(*ticks: tuple[int, dict[int, int]]) -> Departures:
    departures = Departures()
    for clock, gone in ticks:
        departures = departures.add(clock, np.array(list(gone), np.int64), np.array(list(gone.values()), np.int32))
    return departures


def test_the_newest_departure_counts() -> None:
    departures = left((1, {7: 2, 8: 3}), (4, {7: DIED}), (9, {8: 2}))
    assert departures.areas_of(np.array([7, 8, 9, 8])) == [DIED, 2, DIED, 2]
    assert Departures().areas_of(np.array([7])) == [DIED]


def test_departures_of_one_tick_are_together() -> None:
    departures = left((3, {1: DIED}), (3, {2: 5}))
    assert [tick.ids.tolist() for tick in departures.ticks] == [[1, 2]]
    assert departures.checksum == Departures(departures.ticks).checksum


def test_whole_ticks_are_forgotten_and_never_the_newest() -> None:
    departures = left((1, {1: 2, 2: 2}), (2, {3: 2}), (3, {4: 2, 5: 2, 6: 2}))
    assert [t.clock for t in departures.trimmed(BorderLimits(departed=5)).ticks] == [2, 3]
    assert [t.clock for t in departures.trimmed(BorderLimits(departed=1)).ticks] == [3]
    assert [t.clock for t in departures.trimmed(BorderLimits(departed_ticks=1)).ticks] == [3]
    assert departures.trimmed(BorderLimits(departed=6)) is departures
    kept = departures.trimmed(BorderLimits(departed=5))
    assert (len(kept), kept.checksum) == (4, Departures(kept.ticks).checksum)


def test_who_came_back_is_not_absent_and_the_newest_departure_counts() -> None:
    departures = left((1, {7: 2, 8: 3, 9: DIED}), (4, {7: DIED}), (9, {8: 2, 3: 2}))
    ids, areas = absent(departures, np.array([9, 3, 100], np.int64))
    assert dict(zip(ids.tolist(), areas.tolist(), strict=True)) == {7: DIED, 8: 2}
    assert len(absent(Departures(), np.array([1], np.int64))[0]) == 0
