"""One member of one area's Raft group: pairsim's own rules of election, upon `raft.py`.

- **Pre-vote** (Raft thesis, 9.6): a member asks before it raises its term, and nobody who hears a leader says
  yes; so a member that comes back does not disturb.
- **Election at once**: when the connection to the leader closes, the replica asks at once, and again every few
  milliseconds, since the witness may learn of the loss a moment later. Timeouts are for hung machines.
- **Caretaker**: whoever leads without being able to simulate (the witness, or a replica without the state) holds
  the log and hands the leadership to one that can, as soon as that one has caught up.
- **Opening**: a leader's first record opens its term; only then is it the active. Records of any other term
  than the opened one are ignored by all alike: the fence.
- **Quarantine** of members without their journal: `quarantine.py`.

Everything runs in the Raft thread except `submit`, `call_soon` and the plain attributes read by others.
"""

from __future__ import annotations

import collections
import random
from collections.abc import Callable

import structlog

from pairsim.model.status import Succession
from pairsim.replication.clock import monotonic
from pairsim.replication.log.records import Open, Record, encode_record
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
from pairsim.replication.raft.ports import Wire
from pairsim.replication.raft.pysyncobj.core import Raft, RaftState
from pairsim.replication.raft.quarantine import Quarantine
from pairsim.replication.raft.state_machine import Leadership, TermedMachine
from pairsim.settings import Timing

log = structlog.get_logger()

_FAST_FIRST = (0.0002, 0.001)
_FAST_ROUND = (0.001, 0.003)
_FAST_WINDOW = 0.1
_STAND_WINDOW = 2.0
_TRANSFER_PAUSE = 0.03
_OVERDUE = 0.005
_LONG_AGO = -1e9


class Group:
    """A voter."""

    def __init__(
        self,
        me: str,
        others: frozenset[str],
        *,
        wire: Wire,
        journal: Journal,
        machine: TermedMachine,
        leadership: Leadership,
        timing: Timing,
        witness: bool,
    ) -> None:
        """Starts from what the journal holds; a journal that never voted starts in quarantine."""
        self.me, self.others, self.witness = me, tuple(sorted(others)), witness
        self._wire, self._timing = wire, timing
        self._machine, self._leadership = machine, leadership
        self._sealed = False
        self._told: tuple[object, ...] = ()
        patience = timing.witness_factor if witness else 1.0
        self._raft = Raft(me, others, wire=wire, journal=journal, machine=self, timing=timing, patience=patience)
        self._quarantine = Quarantine(
            me, others, journal.incarnation,
            needed=not journal.enrolled, patience=2 * timing.election_max, founders=journal.founders,
        )  # fmt: skip
        self._lease = 0.8 * timing.election_min
        self._soon: collections.deque[Callable[[], None]] = collections.deque()
        self._leader_heard = self._fast_until = self._standing_until = _LONG_AGO
        self._round = random.getrandbits(31) << 16
        self._granted: set[str] = set()
        self._campaigning = False
        self._next_ping = self._next_transfer = _LONG_AGO
        self._pinged = False
        self._opening: int | None = None
        self._called: int | None = None
        self._loss = Succession.SILENT
        self._heir: str | None = None
        self.open_term: int | None = None
        self.links: frozenset[str] = frozenset()
        wire.start(self)

    # --- read by any thread

    @property
    def leader(self) -> str | None:
        """The member that leads, as last heard of."""
        return self._raft.leader

    @property
    def term(self) -> int:
        """Raft's current term."""
        return self._raft.term

    @property
    def voter(self) -> bool:
        """Whether this member votes."""
        return not self._quarantine.active

    def voters(self) -> frozenset[str]:
        """Peers that are linked and vote."""
        pings = {peer: self._quarantine.heard(peer) for peer in self.links}
        return frozenset(peer for peer, ping in pings.items() if ping is not None and not ping.quarantined)

    def peer_ping(self, peer: str) -> Ping | None:
        """What a peer last said of itself over the link that stands."""
        return self._quarantine.heard(peer)

    # --- from any thread

    def submit(self, term: int, record: Record, failed: Callable[[], None]) -> None:
        """Puts a record of an opened term into the log; `failed` if it certainly did not get there."""
        if self.open_term != term:
            failed()
            return
        self._raft.append(encode_record(record), failed)

    def call_soon(self, function: Callable[[], None]) -> None:
        """Runs a function in the Raft thread."""
        self._soon.append(function)
        self._wire.wake()

    def switch_to(self, peer: str | None) -> None:
        """Hands the leadership over once the peer has the whole log; nothing may be submitted meanwhile.

        None takes the order back.
        """
        self._heir = peer
        self._wire.wake()

    # --- the loop

    def turn(self, wait: float) -> None:
        """One turn: does all that there is to do, then waits at most `wait` seconds for something to happen."""
        called = bool(self._soon)
        while self._soon:
            self._soon.popleft()()
        now = monotonic()
        if self._raft.state != RaftState.LEADER:
            if self._raft.due <= now:
                self._wire.poll(0)  # after a pause: read what the leader sent before judging it dead
            self._stand_or_wait(now)
        told = not self._quarantine.active and self._raft.transfer_pending
        self._raft.turn(stand=self._campaigning or told)
        if self._raft.state != RaftState.FOLLOWER:
            self._campaigning = False
        self._lead_or_step_down(now)
        self._ping(now)
        called = called or bool(self._soon)  # the first look at the wire may have taken the wake that came with it
        self._wire.poll(0 if self._changed() or called else min(wait, self._idle(now)))

    def _ping(self, now: float) -> None:
        """Keeps the links warm, and tells at once what changed."""
        capable = not self.witness and self._leadership.capable()
        if now >= self._next_ping or capable != self._pinged:
            self._next_ping, self._pinged = now + self._timing.ping, capable
            for peer in self.others:
                self._send(peer, self._quarantine.ping(capable=capable))

    def _idle(self, now: float) -> float:
        """Seconds until something is due; what was due at `now` and could not be done waits for somebody else."""
        due = min(self._raft.due, self._next_ping)
        return max(0.0, due - monotonic()) if due > now else _OVERDUE

    def _changed(self) -> bool:
        """Whether its part in the group is another one: whoever drives the group sees that between two turns."""
        before, self._told = self._told, (self._raft.state, self._raft.term, self.open_term, self.voter)
        if before[:2] != self._told[:2]:
            log.debug("raft", member=self.me, state=self._raft.state.name, term=self.term, links=sorted(self.links))
        return before != self._told

    def stand(self) -> None:
        """Asks for votes at once: the others expect this member to lead."""
        self._standing_until = monotonic() + _STAND_WINDOW
        self._raft.postpone(0.0)

    def retire(self) -> None:
        """The generation is sealed: leads on, so that everybody learns of it, but simulates no more."""
        self._sealed = True
        self._raft.freeze()
        self._step_down()

    def close(self) -> None:
        """Leaves the group."""
        self._step_down()
        self._wire.close()
        self._raft.journal.close()

    def _stand_or_wait(self, now: float) -> None:
        if self._quarantine.active:
            self._raft.postpone(now + 3600)
            if self._quarantine.on_progress(self._raft.last[0], now):
                self._enrol("caught up with the leader")
        elif self._raft.transfer_pending:
            self._called = self._raft.term
        elif self._raft.due <= now and not self._campaigning:
            self._ask(now)

    def _ask(self, now: float) -> None:
        """Asks for pre-votes."""
        fast = now < self._fast_until and not self.witness
        self._raft.postpone(now + random.uniform(*_FAST_ROUND) if fast else None)  # noqa: S311 - spreads candidates
        self._round += 1
        self._granted = set()
        index, term = self._raft.last
        question = PreVote(term=self._raft.term + 1, round=self._round, last_index=index, last_term=term)
        for peer in self.others:
            self._send(peer, question)

    def _lead_or_step_down(self, now: float) -> None:
        raft = self._raft
        if raft.state != RaftState.LEADER or self._sealed:
            self._step_down()
        elif self.open_term != raft.term:
            self._step_down()
            if not raft.settled:
                return
            if self.witness or not self._leadership.capable():
                self._take_care(now)
            elif self._opening != raft.term:
                self._open(raft.term)
        elif not self._leadership.capable():
            self._step_down()
        elif self._heir is not None:
            self._transfer(self._heir, now)

    def _open(self, term: int) -> None:
        self._opening = term
        self._raft.drop_queue()
        self._raft.append(encode_record(Open(term)), lambda: None)

    def _step_down(self) -> None:
        if self.open_term is not None:
            self.open_term = self._heir = None
            self._raft.drop_queue()
            self._leadership.closed()
        if self._opening is not None and self._opening != self._raft.term:
            self._opening = None

    def _take_care(self, now: float) -> None:
        for peer in self.others:
            ping = self._quarantine.heard(peer)
            if ping and ping.capable and not ping.quarantined:
                self._transfer(peer, now)

    def _transfer(self, peer: str, now: float) -> None:
        caught_up = self._raft.match(peer) == self._raft.last[0] == self._raft.applied
        if caught_up and now >= self._next_transfer:
            self._next_transfer = now + _TRANSFER_PAUSE
            self._raft.transfer(peer)

    # --- the machine, as Raft sees it

    def apply(self, payload: bytes) -> None:
        """A record is committed; when it opens the term that we lead, we are the active."""
        if self._sealed:
            return
        before, term = self._machine.term, self._opening
        self._machine.apply(payload)
        if term is not None and self._machine.term == term == self._raft.term:
            self._opening = None
            self.open_term = term
            # A caretaker's call is none: its term was never opened, so the term before is a lost active's.
            succession = Succession.HANDED_OVER if before == self._called else self._loss
            self._leadership.opened(term, succession if before else None)

    def draft(self) -> Callable[[], bytes]:
        """A snapshot of everything applied so far."""
        return self._machine.draft()

    def restore(self, snapshot: bytes) -> None:
        """A leader's snapshot, or the journal's."""
        self._machine.restore(snapshot)

    # --- what the wire brings

    def on_up(self, peer: str) -> None:
        """A link stands."""
        self.links |= {peer}
        self._raft.link_up(peer)
        self._next_ping = _LONG_AGO
        if monotonic() < self._standing_until and self._raft.leader is None:
            self._raft.postpone(0.0)

    def on_down(self, peer: str) -> None:
        """A link is gone; if it was the leader's, this is the fastest sign of its death."""
        self.links -= {peer}
        self._raft.link_down(peer)
        self._quarantine.on_lost(peer)
        if self._campaigning and not self.links:
            self._campaigning = False  # nobody is left to be voted by: whoever comes back is asked first
            self._raft.postpone()
        if peer == self._raft.leader and self._raft.state != RaftState.LEADER:
            now = monotonic()
            self._leader_heard, self._loss = _LONG_AGO, Succession.CLOSED
            if not self.witness and not self._quarantine.active:
                self._fast_until = now + _FAST_WINDOW
                self._raft.postpone(now + random.uniform(*_FAST_FIRST))  # noqa: S311 - spreads candidates

    def on_message(self, peer: str, message: bytes) -> None:
        """A message; what is no message is logged and dropped."""
        try:
            decoded = decode_message(message)
        except MessageError as error:
            log.warning("dropped a message", peer=peer, reason=str(error))
            return
        if self._admit(peer, decoded, monotonic()):
            self._raft.deliver(peer, to_raft(decoded))

    def _admit(self, peer: str, message: Message, now: float) -> bool:
        """Whether pysyncobj shall see the message; our own kinds are dealt with here."""
        match message:
            case Ping():
                if self._quarantine.on_ping(peer, message):
                    self._raft.postpone()
                    self._enrol("all members are new")
                return False
            case AppendEntries():
                return self._admit_entries(peer, message, now)
            case PreVote():
                if not self._quarantine.active:
                    self._answer(peer, message, now)
                return False
            case PreVoteGranted():
                if message.round == self._round and self._raft.state != RaftState.LEADER:
                    self._granted.add(peer)
                    if 2 * (len(self._granted) + 1) > len(self.others) + 1:
                        self._campaigning = True
                        self._raft.postpone(0.0)
                return False
            case RequestVote():
                return not self._quarantine.active or message.last_log_index == -1
            case TimeoutNow():
                return not self._quarantine.active
            case _:
                return True

    def _admit_entries(self, peer: str, message: AppendEntries, now: float) -> bool:
        if message.term < self._raft.term:
            self._tell_term(peer)
            return False
        self._leader_heard, self._loss = now, Succession.SILENT
        self._campaigning = False
        if self._quarantine.active:
            if message.term > self._raft.term or not self._raft.voted:
                self._raft.adopt_term(message.term, peer)
            self._quarantine.on_leader(message.commit_index, now)
        return True

    def _answer(self, peer: str, question: PreVote, now: float) -> None:
        index, term = self._raft.last
        if self._hears_leader(now):
            return
        if (question.last_term, question.last_index) >= (term, index):
            if question.term > self._raft.term:
                self._send(peer, PreVoteGranted(round=question.round))
            else:
                self._tell_term(peer)
        elif not self._campaigning:
            self._ask(now)  # my log is longer, so the asker cannot win and I must stand (as a caretaker)

    def _hears_leader(self, now: float) -> bool:
        if self._raft.state == RaftState.LEADER:
            newest = max(self._raft.heard(peer) for peer in self.others)
            return now - newest < self._lease
        return now - self._leader_heard < self._lease

    def _tell_term(self, peer: str) -> None:
        """Tells a stale member our term, in a form that pysyncobj takes in: a vote request it must refuse."""
        self._send(peer, RequestVote(term=self._raft.term, last_log_index=-1, last_log_term=-1))

    def _enrol(self, why: str) -> None:
        self._raft.journal.enrol(self._quarantine.founders)
        self._raft.postpone()
        self._next_ping = _LONG_AGO
        log.info("votes from now on", member=self.me, reason=why)

    def _send(self, peer: str, message: Message) -> None:
        self._wire.send(peer, encode_message(message))
