"""Sightings that fit, and those that do not."""

from __future__ import annotations

import msgspec
import pytest

from pairsim.model.status import ReplicaStatus, Role
from pairsim_chaos.probe.availability import Pauses
from pairsim_chaos.probe.observations import Actives, Digests, Divergences, Labels, Ticks
from pairsim_chaos.probe.violations import Violations


def status(
    replica: str, role: Role = Role.ACTIVE, *, term: int = 1, generation: int = 1, tick: int = 0
) -> ReplicaStatus:
    return ReplicaStatus(
        plane="physics", area="west", replica=replica, role=role, generation=1, term=term, epoch=1, tick=tick,
        synced_tick=tick, digest="", entities=0, leader=None, members=(), in_sync=True, peer_in_sync=True,
        started_at=100.0, pid=1, peer="127.0.0.1:1",
    )  # fmt: skip


def test_ticks_that_go_up_are_fine_also_with_gaps_and_in_a_new_term() -> None:
    ticks = Ticks()
    before = (0, 0)
    for term, tick in ((1, 5), (1, 6), (1, 9), (3, 10)):
        before = ticks.frame("a", before, term, tick)
    assert (ticks.seen, ticks.undone.count) == (4, 0)


@pytest.mark.parametrize(("term", "tick"), [(2, 7), (2, 6), (1, 8)])
def test_a_tick_that_is_shown_again_or_a_term_that_goes_back_is_undone(term: int, tick: int) -> None:
    ticks = Ticks()
    ticks.frame("a", ticks.frame("a", (0, 0), 2, 7), term, tick)
    assert ticks.undone.count == 1


def test_an_active_below_a_tick_of_an_earlier_term_has_undone_it() -> None:
    ticks = Ticks()
    ticks.frame("a", (0, 0), 1, 100)
    ticks.frame("b", (0, 0), 2, 120)
    ticks.active("b", 2, 100)
    assert ticks.undone.count == 0
    ticks.active("c", 2, 99)
    assert "tick 100 had been seen before" in ticks.undone.sentences[0]


def test_two_actives_of_one_term_are_told_and_of_two_terms_are_a_takeover() -> None:
    actives = Actives()
    assert actives.status(status("a"), 1.0)
    assert not actives.status(status("a"), 1.1)
    assert not actives.status(status("b", Role.PASSIVE), 1.2)
    assert actives.status(status("b", term=2), 2.0)
    assert [(each.before, each.after, each.term, each.at) for each in actives.takeovers] == [("a", "b", 2, 2.0)]
    assert actives.twice.count == 0
    actives.status(status("a", term=2), 2.1)
    assert actives.twice.sentences == ["b and a are active in term 2"]


def test_an_old_active_that_is_heard_of_late_takes_nothing_over() -> None:
    actives = Actives()
    actives.status(status("b", term=2), 2.0)
    actives.status(status("a", term=1), 2.1)
    actives.status(status("b", term=3), 3.0)
    assert (actives.takeovers, actives.twice.count) == ([], 0)


def test_two_labels_at_one_moment_are_told_once_for_each_pair() -> None:
    labels = Labels()
    for active in ({"a"}, set(), {"b"}, {"a", "b"}, {"a", "b"}, {"b"}):
        labels.seen(frozenset(active))
    assert labels.twice.sentences == ["a and b were labelled active at the same moment"]


def test_digests_of_one_tick_are_compared_whoever_tells_them() -> None:
    digests = Digests()
    digests.told("a", {1: "x", 2: "y"})
    digests.told("b", {2: "y", 3: "z"})
    assert (digests.compared, digests.unequal.count) == (1, 0)
    digests.told("b", {1: "other"})
    assert "tick 1 is x for a, and other for b" in digests.unequal.sentences
    digests.told("a", {2: "changed"})
    assert digests.unequal.count == 2


def test_mismatches_of_before_the_probe_do_not_count() -> None:
    old, new = Divergences(began=200.0), Divergences(began=50.0)
    for divergences in (old, new):
        divergences.status(msgspec.structs.replace(status("a"), divergences=2))
    assert (old.found.count, new.found.count) == (0, 1)
    old.status(msgspec.structs.replace(status("a"), divergences=3))
    assert old.found.count == 1


def test_violations_are_counted_beyond_what_is_kept() -> None:
    violations = Violations()
    for number in range(1000):
        violations.add(str(number))
    assert violations.count == 1000
    assert len(violations.sentences) == 10


def test_pauses_are_found_around_a_moment() -> None:
    pauses = Pauses(0.0)
    for now in (0.05, 0.1, 0.15, 0.65, 0.75):
        pauses.acknowledged(now)
    assert pauses.longest == pytest.approx(0.5)
    assert pauses.around(0.3) == pytest.approx(0.5)
    assert pauses.around(5.0) == 0
    pauses.ended(2.0)
    assert pauses.longest == pytest.approx(1.25)
    assert pauses.availability(1.0) == pytest.approx(0.4)
    assert pauses.silent(2.0) == pytest.approx(1.25)
