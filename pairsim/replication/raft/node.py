"""One member of an area's Raft group: Raft, and pairsim's own rules around it.

A group has three voters: the two replicas of a pair and the witness. `RaftNode` drives Raft (`pysyncobj`) turn by
turn and decides what the member may do:

- `election`: when the member campaigns (pre-votes, elections at once after a crash).
- `transfer`: how leadership is handed over, by plan or by a *caretaker* that cannot simulate.
- `opening`: how a leader becomes the active.
- `quarantine`: when a member without its journal may vote.

Everything runs in the Raft thread, except `submit`, `call_soon`, `transfer_leadership` and the properties, which any
thread may use.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable

import structlog

from pairsim.model.status import Succession
from pairsim.replication.clock import monotonic
from pairsim.replication.log.records import Record, encode_record
from pairsim.replication.patience import NoProcessorWaits, Patience, ProcessorWaits
from pairsim.replication.raft.election import Election
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import (
    AppendEntries,
    Message,
    MessageError,
    Ping,
    PreVote,
    PreVoteGranted,
    RequestVote,
    TimeoutNow,
    decode_message,
    encode_message,
    to_raft,
)
from pairsim.replication.raft.opening import TermOpening
from pairsim.replication.raft.ports import LeadershipListener, TermedStateMachine, Transport
from pairsim.replication.raft.pysyncobj.raft import Raft, RaftState
from pairsim.replication.raft.quarantine import Quarantine
from pairsim.replication.raft.transfer import LeadershipTransfer
from pairsim.replication.standing import Standing
from pairsim.settings import Timing

log = structlog.get_logger()

_OVERDUE_WAIT_SECONDS = 0.005
"""Wait of a turn whose overdue timer cannot fire: an event of the transport must come first."""

_QUARANTINE_SECONDS = 3600.0
_LONG_AGO = -1e9


class RaftNode:
    """A member of a Raft group.

    Attributes:
        me: The name of this member.
        others: The names of the other members, sorted.
        witness: Whether this member is the witness, which never becomes the active.
        links: The peers that are linked.
    """

    def __init__(
        self,
        me: str,
        others: frozenset[str],
        *,
        transport: Transport,
        journal: Journal,
        state_machine: TermedStateMachine,
        leadership: LeadershipListener,
        timing: Timing,
        witness: bool,
        waits: ProcessorWaits | None = None,
    ) -> None:
        """Starts from the journal's content; the member is in quarantine if the journal does not say that it votes.

        Args:
            me: The name of this member.
            others: The names of the other members.
            transport: The links to the other members; the node starts it.
            journal: The member's journal.
            state_machine: Receives the committed records.
            leadership: Is called when this member becomes the active, and when it stops being the active.
            timing: Raft's timeouts.
            witness: Whether this member is the witness; its election timeout is `timing.witness_factor` times longer.
            waits: The waits of this process for a processor; None if it always has one.
        """
        self.me, self.others, self.witness = me, tuple(sorted(others)), witness
        self.links: frozenset[str] = frozenset()
        self._transport, self._timing = transport, timing
        self._state_machine, self._leadership = state_machine, leadership
        self._sealed = False
        self._seen: tuple[object, ...] = ()
        self._soon: collections.deque[Callable[[], None]] = collections.deque()
        self._next_ping = _LONG_AGO
        self._patience = Patience(waits or NoProcessorWaits())
        self._planned = math.inf
        self._pinged = False, Standing().news
        self._opening = TermOpening(leadership)
        self._raft = Raft(
            me,
            others,
            transport=transport,
            journal=journal,
            state_machine=self,
            timing=timing,
            timeout_factor=timing.witness_factor if witness else 1.0,
        )
        self._quarantine = Quarantine(
            me,
            others,
            journal.incarnation,
            needed=not journal.is_voter,
            election_seconds=2 * timing.election_max,
            initial_members=journal.initial_members,
        )
        self._election = Election(self.others, raft=self._raft, send=self._send, timing=timing, witness=self.witness)
        self._transfer = LeadershipTransfer(self.others, self._raft, self._quarantine)
        transport.start(self)

    # --- read by any thread

    @property
    def leader(self) -> str | None:
        """The member that leads, as this member last heard; it may be outdated."""
        return self._raft.leader

    @property
    def term(self) -> int:
        """Raft's current term."""
        return self._raft.term

    @property
    def open_term(self) -> int | None:
        """The term in which this member is the active; None if it is not the active."""
        return self._opening.open_term

    @property
    def voter(self) -> bool:
        """Whether this member votes."""
        return not self._quarantine.active

    @property
    def received_snapshot_bytes(self) -> int:
        """How much of a leader's snapshot has come; 0 if none is under way. Any thread."""
        return self._raft.snapshots.received_bytes

    def voters(self) -> frozenset[str]:
        """Returns the peers that are linked and vote."""
        pings = {peer: self._quarantine.ping_of(peer) for peer in self.links}
        return frozenset(peer for peer, ping in pings.items() if ping is not None and not ping.quarantined)

    def peer_ping(self, peer: str) -> Ping | None:
        """Returns the last ping that a peer sent over its present link; None before the first ping."""
        return self._quarantine.ping_of(peer)

    # --- called by any thread

    def submit(self, term: int, record: Record, failed: Callable[[], None]) -> None:
        """Appends a record of an opened term to the log.

        Args:
            term: The term in which the caller is the active.
            record: The record.
            failed: Called if the record certainly did not get into the log.
        """
        if self._opening.open_term != term:
            failed()
            return
        self._raft.append(encode_record(record), failed)

    def call_soon(self, function: Callable[[], None]) -> None:
        """Calls a function in the Raft thread."""
        self._soon.append(function)
        self._transport.wake()

    def transfer_leadership(self, peer: str | None) -> None:
        """Hands the leadership to a peer once it has the whole log; nothing may be submitted meanwhile.

        None withdraws the request.
        """
        self._transfer.target = peer
        self._transport.wake()

    # --- the turn

    def turn(self, wait: float) -> None:
        """Does everything that is due, then waits at most `wait` seconds for an event."""
        called = bool(self._soon)
        while self._soon:
            self._soon.popleft()()
        now = monotonic()
        self._patience.on_turn(now, self._planned)
        self._election.patience = patience = self._patience.seconds(self._quarantine.starved())
        if self._raft.state != RaftState.LEADER:
            if self._raft.due <= now:
                self._transport.poll(0)  # after a pause: read what the leader sent before judging it dead
            self._follow(now)
        asked_to_campaign = self.voter and self._raft.transfer_pending
        self._raft.turn(may_campaign=self._election.prevote_granted or asked_to_campaign, patience=patience)
        if self._raft.state != RaftState.FOLLOWER:
            self._election.prevote_granted = False
        self._lead_or_step_down(now)
        self._ping(now)
        called = called or bool(self._soon)  # the first poll may have consumed the wake that came with the call
        pause = 0.0 if self._changed() or called else min(wait, self._idle_seconds(now))
        self._planned = monotonic() + pause
        self._transport.poll(pause)

    def _follow(self, now: float) -> None:
        """Decides, on a member that does not lead, whether to end the quarantine or to ask for votes."""
        if self._quarantine.active:
            self._raft.postpone(now + _QUARANTINE_SECONDS)
            if self._quarantine.on_progress(self._raft.last[0], now):
                self._promote_to_voter("caught up with the leader")
        elif self._raft.transfer_pending:
            self._transfer.on_request()
        else:
            self._election.on_turn(now)

    def _lead_or_step_down(self, now: float) -> None:
        raft = self._raft
        if raft.state != RaftState.LEADER or self._sealed:
            self._step_down()
        elif self.open_term != raft.term:
            self._step_down()
            if not raft.settled:
                return
            if self.witness or not self._leadership.can_simulate():
                self._transfer.transfer_to_capable(now)
            else:
                self._opening.open(self._raft)
        elif not self._leadership.can_simulate():
            self._step_down()
        else:
            self._transfer.transfer_to_target(now)

    def _step_down(self) -> None:
        if self.open_term is not None:
            self._transfer.target = None
        self._opening.close(self._raft)

    def _ping(self, now: float) -> None:
        """Sends pings: regularly, to keep the links warm, and at once when the chance to simulate changes."""
        capable = not self.witness and self._leadership.can_simulate()
        standing = self._leadership.standing()
        news = capable, standing.news
        if now >= self._next_ping or news != self._pinged:
            self._next_ping, self._pinged = now + self._timing.ping, news
            starved = self._patience.longest_wait
            for peer in self.others:
                self._send(peer, self._quarantine.ping(can_simulate=capable, starved=starved, standing=standing))

    def _idle_seconds(self, now: float) -> float:
        """Returns the seconds until the next timer; an overdue timer that could not fire waits for an event."""
        due = min(self._raft.due, self._next_ping)
        return max(0.0, due - monotonic()) if due > now else _OVERDUE_WAIT_SECONDS

    def _changed(self) -> bool:
        """Returns whether the member's role changed in this turn: the caller of `turn` reads it between two turns."""
        before, self._seen = self._seen, (self._raft.state, self._raft.term, self.open_term, self.voter)
        if before[:2] != self._seen[:2]:
            log.debug(
                "role changed", member=self.me, state=self._raft.state.name, term=self.term, links=sorted(self.links)
            )
        return before != self._seen

    def campaign(self) -> None:
        """Asks for votes at once: the other members expect this member to lead."""
        self._election.campaign_soon()

    def drain(self) -> None:
        """Continues without simulating: the generation is sealed, and every member must still learn it from the log."""
        self._sealed = True
        self._raft.stop_compaction()
        self._step_down()

    def close(self) -> None:
        """Leaves the group: closes the links and the journal."""
        self._step_down()
        self._transport.close()
        self._raft.journal.close()

    # --- the state machine, as Raft sees it

    def apply(self, payload: bytes) -> None:
        """Applies a committed record; this member becomes the active if the record opens the term that it leads."""
        if self._sealed:
            return
        self._end_lost_leadership()
        before = self._state_machine.term
        self._state_machine.apply(payload)
        if self._opening.pending_term is not None:
            self._opening.on_applied(self._raft, self._state_machine.term, self._succession(before))

    def _end_lost_leadership(self) -> None:
        """Ends a leadership that Raft has lost in this turn, before a record of the next one is applied.

        The active may have computed ticks that were not committed. A reader in another thread takes its state for
        committed once the log has as many ticks, so the state must be unconfirmed before the log grows.
        """
        open_term = self.open_term
        if open_term is not None and (self._raft.state != RaftState.LEADER or self._raft.term != open_term):
            self._step_down()

    def _succession(self, before: int) -> Succession | None:
        """Returns why the active of the term `before` is gone; None if there never was an active.

        A caretaker's request does not count as a handover: its own term was never opened, so `before` is the term of
        an active that was lost.
        """
        if not before:
            return None
        return Succession.HANDED_OVER if before == self._transfer.transfer_term else self._election.loss_reason

    def begin_snapshot(self) -> Callable[[], bytes]:
        """Captures everything applied so far, and returns a function that packs it."""
        return self._state_machine.begin_snapshot()

    def restore(self, snapshot: bytes) -> None:
        """Restores the state machine from the snapshot of a leader or of the journal."""
        self._end_lost_leadership()
        self._state_machine.restore(snapshot)

    # --- events of the transport

    def on_up(self, peer: str) -> None:
        """Records that a link to the peer is established."""
        self.links |= {peer}
        self._raft.link_up(peer)
        self._next_ping = _LONG_AGO
        self._election.on_link_up()

    def on_down(self, peer: str) -> None:
        """Records that the link to the peer is lost; a replica that loses the leader's link campaigns at once."""
        self.links -= {peer}
        self._raft.link_down(peer)
        alone = (ping := self._quarantine.ping_of(peer)) is not None and ping.capable  # it was the other replica
        self._quarantine.on_lost(peer)
        self._election.on_link_down(peer, linked=bool(self.links), voter=self.voter, alone=alone)

    def on_message(self, peer: str, message: bytes) -> None:
        """Handles a message; bytes that are not a message are logged and dropped."""
        try:
            decoded = decode_message(message)
        except MessageError as error:
            log.warning("message dropped", peer=peer, reason=str(error))
            return
        if self._admit(peer, decoded, monotonic()):
            self._raft.deliver(peer, to_raft(decoded))

    def _admit(self, peer: str, message: Message, now: float) -> bool:
        """Handles pairsim's own messages, and returns whether pysyncobj shall see the message."""
        match message:
            case Ping():
                if self._quarantine.on_ping(peer, message):
                    self._raft.postpone()
                    self._promote_to_voter("all members are new")
                return False
            case AppendEntries():
                return self._admit_entries(peer, message, now)
            case PreVote():
                if self.voter:
                    self._election.on_prevote(peer, message, now)
                return False
            case PreVoteGranted():
                self._election.on_prevote_granted(peer, message)
                return False
            case RequestVote():
                return self.voter or message.last_log_index == -1
            case TimeoutNow():
                return self.voter
            case _:
                return True

    def _admit_entries(self, peer: str, message: AppendEntries, now: float) -> bool:
        if message.term < self._raft.term:
            self._election.send_term(peer)
            return False
        self._election.on_leader_message(now)
        if self._quarantine.active:
            self._raft.adopt_term(message.term, peer)
            self._quarantine.on_leader(message.commit_index, now)
        return True

    def _promote_to_voter(self, reason: str) -> None:
        self._raft.journal.promote_to_voter(self._quarantine.initial_members)
        self._raft.postpone()
        self._next_ping = _LONG_AGO
        log.info("became voter", member=self.me, reason=reason)

    def _send(self, peer: str, message: Message) -> None:
        self._transport.send(peer, encode_message(message))
