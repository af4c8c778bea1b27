"""The clock never goes back, and does not take a thread that slept for a clock that was set back."""

from __future__ import annotations

from collections.abc import Iterator

from pairsim.replication.clock import SteadyClock


def clock(*times: float) -> SteadyClock:
    source: Iterator[float] = iter(times)
    return SteadyClock(lambda: next(source))


def test_time_stands_still_when_the_source_goes_back_and_goes_on_from_there() -> None:
    steady = clock(10.0, 11.0, 611.0, 12.0, 12.0, 13.0)
    assert [steady(), steady(), steady(), steady()] == [11.0, 611.0, 611.0, 612.0]


def test_an_old_reading_of_a_thread_that_slept_changes_nothing() -> None:
    steady = clock(10.0, 20.0, 12.0, 20.5, 21.0)
    assert steady() == 20.0
    assert steady() == 20.5  # the source is read again: it did not go back
    assert steady() == 21.0
