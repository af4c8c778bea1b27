"""Consistent and inconsistent observations of an area."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.status import ReplicaStatus, Role
from pairsim_chaos.probe.availability import Availability
from pairsim_chaos.probe.observations import (
    ActiveObservations,
    DigestObservations,
    DivergenceObservations,
    LabelObservations,
    TickObservations,
)
from pairsim_chaos.probe.violations import Violations


def status(
    replica: str, role: Role = Role.ACTIVE, *, term: int = 1, generation: int = 1, tick: int = 0
) -> ReplicaStatus:
    return ReplicaStatus(
        plane="physics", area="west", replica=replica, role=role, generation=1, term=term, version=1, tick=tick,
        synced_tick=tick, digest="", entities=0, leader=None, members=(), in_sync=True, peer_in_sync=True,
        started_at=100.0, pid=1, peer="127.0.0.1:1",
    )  # fmt: skip


def test_rising_ticks_are_consistent_also_with_gaps_and_in_a_new_term() -> None:
    ticks = TickObservations()
    before = (0, 0)
    for term, tick in ((1, 5), (1, 6), (1, 9), (3, 10)):
        before = ticks.on_frame("a", before, term, tick)
    assert (ticks.seen, ticks.undone.count) == (4, 0)


@pytest.mark.parametrize(("term", "tick"), [(2, 7), (2, 6), (1, 8)])
def test_a_repeated_tick_or_a_lower_term_is_a_violation(term: int, tick: int) -> None:
    ticks = TickObservations()
    ticks.on_frame("a", ticks.on_frame("a", (0, 0), 2, 7), term, tick)
    assert ticks.undone.count == 1


def test_an_active_below_a_tick_of_an_earlier_term_has_undone_the_tick() -> None:
    ticks = TickObservations()
    ticks.on_frame("a", (0, 0), 1, 100)
    ticks.on_frame("b", (0, 0), 2, 120)
    ticks.on_active("b", 2, 100)
    assert ticks.undone.count == 0
    ticks.on_active("c", 2, 99)
    assert "tick 100 had been seen before" in ticks.undone.sentences[0]


def test_two_actives_in_one_term_are_a_violation_and_in_two_terms_a_takeover() -> None:
    actives = ActiveObservations()
    assert actives.on_status(status("a"), 1.0)
    assert not actives.on_status(status("a"), 1.1)
    assert not actives.on_status(status("b", Role.PASSIVE), 1.2)
    assert actives.on_status(status("b", term=2), 2.0)
    assert [(each.before, each.after, each.term, each.at) for each in actives.takeovers] == [("a", "b", 2, 2.0)]
    assert actives.doubled.count == 0
    actives.on_status(status("a", term=2), 2.1)
    assert actives.doubled.sentences == ["b and a are active in term 2"]


def test_a_late_report_of_an_old_active_is_not_a_takeover() -> None:
    actives = ActiveObservations()
    actives.on_status(status("b", term=2), 2.0)
    actives.on_status(status("a", term=1), 2.1)
    actives.on_status(status("b", term=3), 3.0)
    assert (actives.takeovers, actives.doubled.count) == ([], 0)


def test_two_labels_at_one_moment_are_reported_once_for_each_pair() -> None:
    labels = LabelObservations()
    for active in ({"a"}, set(), {"b"}, {"a", "b"}, {"a", "b"}, {"b"}):
        labels.on_labels(frozenset(active))
    assert labels.doubled.sentences == ["a and b were labelled active at the same moment"]


def test_digests_of_one_tick_are_compared_across_replicas_and_time() -> None:
    digests = DigestObservations()
    digests.on_digests("a", {1: "x", 2: "y"})
    digests.on_digests("b", {2: "y", 3: "z"})
    assert (digests.compared, digests.unequal.count) == (1, 0)
    digests.on_digests("b", {1: "other"})
    assert "tick 1 is x for a, and other for b" in digests.unequal.sentences
    digests.on_digests("a", {2: "changed"})
    assert digests.unequal.count == 2


def test_mismatches_before_the_probe_do_not_count() -> None:
    old, new = DivergenceObservations(began=200.0), DivergenceObservations(began=50.0)
    for divergences in (old, new):
        divergences.on_status(msgspec.structs.replace(status("a"), divergences=2))
    assert (old.found.count, new.found.count) == (0, 1)
    old.on_status(msgspec.structs.replace(status("a"), divergences=3))
    assert old.found.count == 1


def test_violations_are_counted_beyond_the_kept_sentences() -> None:
    violations = Violations()
    for number in range(1000):
        violations.add(str(number))
    assert violations.count == 1000
    assert len(violations.sentences) == 10


def test_availability_finds_the_pause_around_a_moment() -> None:
    availability = Availability(0.0)
    for now in (0.05, 0.1, 0.15, 0.65, 0.75):
        availability.on_acknowledged(now)
    assert availability.longest_pause == pytest.approx(0.5)
    assert availability.pause_around(0.3) == pytest.approx(0.5)
    assert availability.pause_around(5.0) == 0
    availability.on_end(2.0)
    assert availability.longest_pause == pytest.approx(1.25)
    assert availability.share(1.0) == pytest.approx(0.4)
    assert availability.silence(2.0) == pytest.approx(1.25)


def test_an_area_that_acknowledges_nothing_after_a_fault_is_silent_since_then() -> None:
    availability = Availability(0.0)
    availability.on_acknowledged(1.0)
    assert not availability.silent_since_fault  # there was no fault
    availability.on_fault(2.0)
    assert availability.silent_since_fault
    availability.on_acknowledged(3.0)
    assert not availability.silent_since_fault
