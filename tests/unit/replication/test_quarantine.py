from __future__ import annotations

from pairsim.replication.raft.messages import Ping
from pairsim.replication.raft.quarantine import Quarantine

OTHERS = frozenset({"b", "w"})


def quarantine(*, needed: bool = True) -> Quarantine:
    return Quarantine("a", OTHERS, 1, needed=needed, patience=0.5)


def ping(incarnation: int, *, new: bool = True, founders: dict[str, int] | None = None) -> Ping:
    return Ping(quarantined=new, incarnation=incarnation, founders=founders or {}, capable=True)


def test_three_new_members_found_the_group_together() -> None:
    mine = quarantine()
    assert not mine.on_ping("b", ping(2))
    assert mine.active
    assert mine.on_ping("w", ping(3))
    assert not mine.active
    assert mine.ping(capable=True).founders == {"a": 1, "b": 2, "w": 3}


def test_whoever_finds_itself_among_the_founders_was_there() -> None:
    mine = quarantine()
    assert mine.on_ping("b", ping(2, new=False, founders={"a": 1, "b": 2, "w": 3}))


def test_a_founder_that_restarted_still_tells_who_the_others_are() -> None:
    again = Quarantine("w", frozenset({"a", "b"}), 4, needed=False, patience=0.5, founders={"a": 1, "b": 2, "w": 3})
    assert quarantine().on_ping("w", again.ping(capable=False))


def test_a_founder_that_lost_its_journal_is_another_incarnation() -> None:
    mine = quarantine()
    assert not mine.on_ping("b", ping(2, new=False, founders={"a": 99, "b": 2, "w": 3}))
    assert not mine.on_ping("w", ping(3, new=False, founders={"a": 99, "b": 2, "w": 3}))
    assert mine.active


def test_what_a_peer_said_over_a_lost_link_does_not_count() -> None:
    mine = quarantine()
    mine.on_ping("b", ping(2))
    mine.on_lost("b")
    assert not mine.on_ping("w", ping(3))


def test_caught_up_means_all_that_was_committed_and_all_old_elections_over() -> None:
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
