"""When a leader becomes the active, why the active before is gone, and how a leader that cannot simulate helps."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from pairsim.model.status import Succession
from pairsim.replication.log.records import Open, encode_record
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import (
    AppendEntries,
    Chunk,
    NextNodeIdx,
    Ping,
    PreVote,
    RequestVote,
    ResponseVote,
    TimeoutNow,
    encode_message,
)
from pairsim.replication.raft.node import RaftNode
from pairsim.replication.raft.storage import MemoryStorage
from pairsim.settings import Timing
from tests.unit.replication.raft.test_node import LEADS, Clock, OpeningRecorder, grant, voting
from tests.unit.replication.raft.test_node_votes import acknowledge, leading, sent

CAPABLE = Ping(quarantined=False, incarnation=5, founders={}, capable=True)


class Listener(OpeningRecorder):
    """Records leaderships."""

    def __init__(self) -> None:
        super().__init__()
        self.gained: list[tuple[int, Succession | None]] = []
        self.lost = 0

    def on_leadership_gained(self, term: int, succession: object) -> None:
        assert succession is None or isinstance(succession, Succession)
        self.gained.append((term, succession))

    def on_leadership_lost(self) -> None:
        self.lost += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("pairsim.replication.clock._source", made)
    return made


@pytest.fixture
def listener() -> Listener:
    return Listener()


def win(node: RaftNode, listener: Listener) -> None:
    """Lets a member that asked for votes win, and its peer have the whole log."""
    node.turn(0)
    node.on_message("w", encode_message(ResponseVote(term=node.term)))
    for _turn in range(4):
        node.turn(0)
        acknowledge(node, "w")


def elect(node: RaftNode, listener: Listener) -> None:
    """Lets a member campaign and win."""
    node.turn(0)
    grant(node, listener)
    win(node, listener)


def test_a_leader_is_the_active_when_its_term_is_open(clock: Clock, listener: Listener) -> None:
    node = leading(listener, clock)
    for _turn in range(3):
        acknowledge(node, "w")
    assert listener.gained == [(node.term, None)], "there was no active before"


def test_a_leader_is_not_the_active_before_its_record_is_committed(clock: Clock, listener: Listener) -> None:
    node = voting(listener)
    clock.now += 1
    node.turn(0)
    grant(node, listener)
    node.turn(0)
    node.on_message("w", encode_message(ResponseVote(term=node.term)))
    for _turn in range(3):
        node.turn(0)
    assert (node.leader, node.open_term, listener.gained) == ("a", None, [])


def win_votes(node: RaftNode, listener: Listener) -> None:
    """Lets a silent member campaign and win; no peer has any of its entries yet."""
    node.turn(0)
    grant(node, listener)
    node.turn(0)
    node.on_message("w", encode_message(ResponseVote(term=node.term)))
    for _turn in range(3):
        node.turn(0)


def test_a_leader_that_had_applied_everything_opens_its_term_at_once(clock: Clock, listener: Listener) -> None:
    """One round trip after its election it is the active."""
    node = voting(listener)
    clock.now += 1
    win_votes(node, listener)
    assert node._raft.journal[-1][0] == b"\0" + encode_record(Open(node.term))
    acknowledge(node, "w")
    assert listener.gained == [(node.term, None)]


def test_a_leader_opens_its_term_after_it_has_applied_the_records_before(clock: Clock, listener: Listener) -> None:
    """Without them it cannot know whether it has the state that the next tick needs."""
    node = voting(listener)
    record = b"\0" + encode_record(Open(1)), 2, 1
    node.on_message(
        "b", encode_message(AppendEntries(term=1, commit_index=1, entries=[record], prevLogIdx=1, prevLogTerm=0))
    )
    node.turn(0)
    clock.now += 1
    win_votes(node, listener)
    assert (node._raft.settled, node._raft.last[0]) == (False, 3)
    acknowledge(node, "w")
    node.turn(0)
    assert node._raft.journal[-1][0] == b"\0" + encode_record(Open(node.term))


def test_a_leader_that_waits_for_its_majority_appends_nothing_more(clock: Clock, listener: Listener) -> None:
    node = voting(listener)
    clock.now += 1
    node.turn(0)
    grant(node, listener)
    node.turn(0)
    node.on_message("w", encode_message(ResponseVote(term=node.term)))
    node.turn(0)
    acknowledge(node, "w")
    node.turn(0)
    end = node._raft.last
    for _turn in range(3):
        node.turn(0)
    assert (node.open_term, node._raft.settled, node._raft.last) == (None, True, end)


def test_a_leader_opens_its_term_once(clock: Clock, listener: Listener) -> None:
    node = voting(listener)
    clock.now += 1
    elect(node, listener)
    end = node._raft.last
    for _turn in range(3):
        acknowledge(node, "w")
    assert node._raft.last == end


def test_a_leader_opens_only_the_term_that_it_leads(clock: Clock, listener: Listener) -> None:
    """The records of earlier leaders are applied before its own."""
    node = leading(listener, clock)
    listener.gained.clear()
    opening, raft = node._opening, node._raft
    opening.close(raft)
    opening.open(raft)
    for applied in (node.term - 1, node.term + 1):
        opening.on_applied(raft, applied, None)
    assert (node.open_term, listener.gained) == (None, [])
    opening.on_applied(raft, node.term, None)
    assert (node.open_term, listener.gained) == (node.term, [(node.term, None)])


def lose(node: RaftNode, listener: Listener) -> None:
    """Lets another member lead a later term."""
    later = AppendEntries(term=node.term + 1, commit_index=1, entries=[], prevLogIdx=1, prevLogTerm=0)
    node.on_message("b", encode_message(later))
    node.turn(0)


def test_a_leader_of_an_earlier_term_is_not_the_active(clock: Clock, listener: Listener) -> None:
    node = leading(listener, clock)
    end = node._raft.last
    node.submit(node.term, Open(node.term), lambda: None)
    lose(node, listener)
    assert (node.open_term, listener.lost, node._raft.last) == (None, 1, end)
    node.turn(0)
    assert listener.lost == 1


class OrderedListener(Listener):
    """Records in which order a leadership ends and records are applied."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[object] = []

    def apply(self, payload: bytes) -> None:
        super().apply(payload)
        self.order.append(self.term)

    def restore(self, snapshot: bytes) -> None:
        self.order.append(snapshot)

    def on_leadership_lost(self) -> None:
        super().on_leadership_lost()
        self.order.append("lost")


@pytest.mark.parametrize("as_snapshot", [False, True])
def test_a_leadership_ends_before_a_record_of_the_next_one_is_applied(as_snapshot: bool, clock: Clock) -> None:
    """Otherwise a reader takes ticks that are undone for those that the log has now."""
    listener = OrderedListener()
    node = leading(listener, clock)
    (end, term), listener.order = node._raft.last, []
    record = b"\0" + encode_record(Open(term + 1))
    message = AppendEntries(term=term + 1, commit_index=end + 1)
    if as_snapshot:
        message.serialized = Chunk(term + 1, end + 5, 0, b"state", ((b"", end + 4, term), (b"", end + 5, term + 1)))
    else:
        message.entries, message.prevLogIdx, message.prevLogTerm = [(record, end + 1, term + 1)], end, term
    node.on_message("b", encode_message(message))
    node.turn(0)
    assert listener.order == ["lost", b"state" if as_snapshot else term + 1]


def test_a_record_that_is_queued_when_the_leadership_ends_never_gets_into_the_log(
    clock: Clock,
    listener: Listener,
) -> None:
    """The replica counts its tick as unconfirmed, and the tick may be run again with other commands."""
    node = leading(listener, clock)
    end, failed = node._raft.last, list[str]()

    def submit_and_fail() -> bool:
        if node.open_term is not None:
            node.submit(node.term, Open(node.term), lambda: failed.append("queued"))
        return False

    listener.can_simulate = submit_and_fail  # type: ignore[method-assign]
    for _turn in range(3):
        node.turn(0)
    assert (node.open_term, failed, node._raft.last) == (None, ["queued"], end)


def test_a_leader_that_cannot_simulate_any_more_is_not_the_active(clock: Clock, listener: Listener) -> None:
    node = leading(listener, clock)
    listener.able = False
    node.turn(0)
    assert (node.leader, node.open_term, listener.lost) == ("a", None, 1)


def test_a_group_that_is_left_has_no_active(clock: Clock, listener: Listener) -> None:
    node = leading(listener, clock)
    node.close()
    assert (node.open_term, listener.lost) == (None, 1)


# --- succession


def following(listener: Listener) -> RaftNode:
    """Returns a member that follows the active `b` of term 1."""
    node = voting(listener)
    node.on_message("b", LEADS)
    node.turn(0)
    listener.term = 1
    return node


def test_an_active_that_was_not_heard_any_more_was_silent(clock: Clock, listener: Listener) -> None:
    node = following(listener)
    clock.now += 1
    elect(node, listener)
    assert listener.gained == [(2, Succession.SILENT)]


def test_an_active_whose_connection_ended_was_closed(clock: Clock, listener: Listener) -> None:
    node = following(listener)
    node.on_down("b")
    clock.now += 0.002
    elect(node, listener)
    assert listener.gained == [(2, Succession.CLOSED)]


def test_an_active_that_asked_this_member_to_lead_handed_over(clock: Clock, listener: Listener) -> None:
    node = following(listener)
    node.on_message("b", encode_message(TimeoutNow(term=1)))
    win(node, listener)
    assert sent(listener, PreVote) == [], "the leader itself asked"
    assert listener.gained == [(2, Succession.HANDED_OVER)]


def test_a_request_of_an_earlier_leader_is_no_handover(clock: Clock, listener: Listener) -> None:
    node = following(listener)
    node._transfer.transfer_term = 1
    listener.term = 2
    clock.now += 1
    elect(node, listener)
    assert [succession for _term, succession in listener.gained] == [Succession.SILENT]


# --- caretakers


def caretaker(listener: Listener, clock: Clock, *, witness: bool) -> RaftNode:
    """Returns a leader that cannot simulate, and holds the whole log with its peers."""
    journal = Journal(MemoryStorage(), "boot", "me")
    journal.promote_to_voter()
    node = RaftNode(
        "a", frozenset({"b", "w"}), transport=listener, journal=journal, state_machine=listener, leadership=listener,
        timing=Timing(), witness=witness,
    )  # fmt: skip
    for peer in ("b", "w"):
        node.on_up(peer)
    listener.able = witness
    clock.now += 10
    elect(node, listener)
    assert node.leader == "a"
    return node


@pytest.mark.parametrize("witness", [True, False])
def test_a_leader_that_cannot_simulate_hands_over_to_a_voter_that_can(
    witness: bool,
    clock: Clock,
    listener: Listener,
) -> None:
    node = caretaker(listener, clock, witness=witness)
    for ping in (
        Ping(quarantined=True, incarnation=5, founders={}, capable=True),
        Ping(quarantined=False, incarnation=5, founders={}, capable=False),
    ):
        node.on_message("b", encode_message(ping))
        node.turn(0)
        acknowledge(node, "b")
        assert sent(listener, TimeoutNow) == [], ping
    node.on_message("b", encode_message(CAPABLE))
    node.turn(0)
    assert sent(listener, TimeoutNow) == [TimeoutNow(term=node.term)]
    assert (node.open_term, listener.gained) == (None, [])


def test_a_caretaker_waits_until_the_other_member_has_the_whole_log(clock: Clock, listener: Listener) -> None:
    node = caretaker(listener, clock, witness=True)
    node.on_message("b", encode_message(CAPABLE))
    for _turn in range(3):
        node.turn(0)
    assert sent(listener, TimeoutNow) == []
    node.on_message("b", encode_message(NextNodeIdx(node.term, node._raft.last[0] + 1, reset=False, success=True)))
    node.turn(0)
    assert len(sent(listener, TimeoutNow)) == 1


def test_the_witness_says_that_it_cannot_simulate(clock: Clock, listener: Listener) -> None:
    caretaker(listener, clock, witness=True)
    pings = [message for message in listener.sent if isinstance(message, Ping)]
    assert pings
    assert not any(ping.capable for ping in pings)


# --- elections at once


def test_a_replica_that_lost_its_leader_asks_again_every_few_milliseconds(clock: Clock, listener: Listener) -> None:
    """The witness may learn of the loss a moment later."""
    node = following(listener)
    node.on_down("b")
    listener.sent.clear()
    for _millisecond in range(20):
        clock.now += 0.001
        node.turn(0)
    assert len(sent(listener, PreVote)) >= 2 * 6
    assert sent(listener, RequestVote) == []


def test_a_replica_asks_at_once_when_the_other_one_is_lost(clock: Clock, listener: Listener) -> None:
    """Nobody else campaigns, so there is nothing to wait for."""
    node = following(listener)
    node.on_message("b", encode_message(CAPABLE))
    listener.sent.clear()
    node.on_down("b")
    node.turn(0)
    assert len(sent(listener, PreVote)) == 2


def test_a_replica_waits_for_the_other_one_when_a_witness_that_led_is_lost(clock: Clock, listener: Listener) -> None:
    node = following(listener)
    listener.sent.clear()
    node.on_down("b")
    node.turn(0)
    assert sent(listener, PreVote) == []
    clock.now += 0.001
    node.turn(0)
    assert len(sent(listener, PreVote)) == 2


def test_the_witness_leaves_an_election_at_once_to_the_replicas(clock: Clock, listener: Listener) -> None:
    journal = Journal(MemoryStorage(), "boot", "me")
    journal.promote_to_voter()
    node = RaftNode(
        "a", frozenset({"b", "w"}), transport=listener, journal=journal, state_machine=listener, leadership=listener,
        timing=Timing(), witness=True,
    )  # fmt: skip
    for peer in ("b", "w"):
        node.on_up(peer)
    node.on_message("b", LEADS)
    node.turn(0)
    node.on_down("b")
    clock.now += 0.1
    node.turn(0)
    assert sent(listener, PreVote) == []


def test_a_lost_link_to_another_follower_starts_no_election(clock: Clock, listener: Listener) -> None:
    node = following(listener)
    node.on_down("w")
    clock.now += 0.1
    node.turn(0)
    assert sent(listener, PreVote) == []


def test_the_member_that_shall_lead_asks_each_peer_as_soon_as_it_is_linked(clock: Clock, listener: Listener) -> None:
    journal = Journal(MemoryStorage(), "boot", "me")
    journal.promote_to_voter()
    node = RaftNode(
        "a", frozenset({"b", "w"}), transport=listener, journal=journal, state_machine=listener, leadership=listener,
        timing=Timing(), witness=False,
    )  # fmt: skip
    node.campaign()
    node.turn(0)
    listener.sent.clear()
    node.on_up("b")
    node.turn(0)
    assert sent(listener, PreVote)


def test_bytes_that_are_not_a_message_are_logged_and_dropped(clock: Clock, listener: Listener) -> None:
    node = following(listener)
    with capture_logs() as logs:
        node.on_message("b", b"\xc1nonsense")
    assert [(entry["event"], entry["peer"]) for entry in logs] == [("message dropped", "b")]
