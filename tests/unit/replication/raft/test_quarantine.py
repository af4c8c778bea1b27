from __future__ import annotations

from pairsim.replication.raft.messages import Ping
from pairsim.replication.raft.quarantine import Quarantine

OTHERS = frozenset({"b", "w"})


def quarantine(*, needed: bool = True) -> Quarantine:
    return Quarantine("a", OTHERS, 1, needed=needed, election_seconds=0.5)


def ping(incarnation: int, *, new: bool = True, founders: dict[str, int] | None = None) -> Ping:
    return Ping(quarantined=new, incarnation=incarnation, founders=founders or {}, capable=True)


def test_three_new_members_become_the_initial_members() -> None:
    mine = quarantine()
    assert not mine.on_ping("b", ping(2))
    assert mine.active
    assert mine.on_ping("w", ping(3))
    assert not mine.active
    assert mine.ping(can_simulate=True).founders == {"a": 1, "b": 2, "w": 3}


def test_a_member_that_is_listed_as_initial_votes() -> None:
    mine = quarantine()
    assert mine.on_ping("b", ping(2, new=False, founders={"a": 1, "b": 2, "w": 3}))


def test_an_initial_member_still_reports_the_others_after_a_restart() -> None:
    again = Quarantine(
        "w", frozenset({"a", "b"}), 4, needed=False, election_seconds=0.5, initial_members={"a": 1, "b": 2, "w": 3}
    )
    assert quarantine().on_ping("w", again.ping(can_simulate=False))


def test_an_initial_member_that_lost_its_journal_stays_in_quarantine() -> None:
    mine = quarantine()
    assert not mine.on_ping("b", ping(2, new=False, founders={"a": 99, "b": 2, "w": 3}))
    assert not mine.on_ping("w", ping(3, new=False, founders={"a": 99, "b": 2, "w": 3}))
    assert mine.active


def test_a_ping_over_a_lost_link_does_not_count() -> None:
    mine = quarantine()
    mine.on_ping("b", ping(2))
    mine.on_lost("b")
    assert not mine.on_ping("w", ping(3))


def test_a_member_votes_after_it_caught_up_and_old_elections_ended() -> None:
    mine = quarantine()
    assert not mine.on_progress(1000, 10.0)
    mine.on_leader(50, 10.0)
    mine.on_leader(70, 10.2)
    assert not mine.on_progress(49, 11.0)
    assert not mine.on_progress(50, 10.4)
    assert mine.on_progress(50, 10.5)
    assert not mine.active


def test_a_member_with_its_journal_votes_from_the_start() -> None:
    assert not quarantine(needed=False).active


def test_a_group_with_one_old_member_is_not_new() -> None:
    mine = quarantine()
    assert not mine.on_ping("b", ping(2, new=False))
    assert not mine.on_ping("w", ping(3))
    assert mine.active
