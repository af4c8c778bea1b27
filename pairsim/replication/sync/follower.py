"""The passive's side of the state stream: frames in, a state that is never ahead of the commit."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

import msgspec
import structlog

from pairsim.model.state.digest import hex16
from pairsim.replication.log.records import Rejection
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.sync.codec import Pool, StateFrameError, apply_delta, apply_keyframe, differences
from pairsim.replication.sync.messages import KEYFRAME, Ack, FrameHeader, Resend, ToActive, ToSubscriber
from pairsim.replication.sync.publisher import WINDOW
from pairsim.replication.sync.self_check import Audit
from pairsim.replication.sync.state import HISTORY, State

log = structlog.get_logger()

_NAMED = 5


class _Frame(msgspec.Struct, frozen=True):
    header: FrameHeader
    body: memoryview


class Follower:
    """Applies frames to the state. `receive` and `connected` from the stream's thread, the rest by the replica's."""

    def __init__(
        self,
        state: State,
        ticks: TickLog,
        durable: Callable[[], int],
        audit: Audit,
        commit_known_from_log: Callable[[], bool],
    ) -> None:
        """Follows into `state`; `commit_known_from_log` returns whether the own log shows the commit.

        The log of a newcomer does not yet, so that a newcomer believes the stream.
        """
        self._state = state
        self._audit = audit
        self._log = ticks
        self._durable = durable
        self._lock = threading.Lock()
        self._pool = Pool()
        self._frames: collections.deque[_Frame] = collections.deque()
        self._reply: Callable[[ToActive], None] | None = None
        self._expected: collections.deque[tuple[int, int]] = collections.deque(maxlen=HISTORY)
        self._asked = False
        self._commit_known_from_log = commit_known_from_log
        self.rejected: tuple[int, list[Rejection]] = (KEYFRAME, [])
        self._stream_term = self._stream_committed = 0

    # --- stream thread

    def connected(self, reply: Callable[[ToActive], None] | None) -> None:
        """A stream begins (or ended, with None); it starts with a keyframe."""
        with self._lock:
            self._frames.clear()
        self._reply = reply
        self._asked = False

    def receive(self, message: ToSubscriber, body: memoryview) -> bool:
        """Takes a message of the stream; False if the active sends more than it may."""
        committed = message.committed if isinstance(message, FrameHeader) else message.tick
        with self._lock:
            self._stream_term = max(self._stream_term, message.term)
            self._stream_committed = max(self._stream_committed, committed)
            if isinstance(message, FrameHeader):
                if self._frames and self._frames[-1].header.term < message.term:
                    self._frames.clear()  # a leadership starts with a keyframe; what earlier ones left only piles up
                self._frames.append(_Frame(message, body))
        return len(self._frames) <= 2 * WINDOW

    # --- any thread

    def ready(self) -> bool:
        """Whether there is a frame that can be applied: frame and commit come in either order, by different ways."""
        term, committed = self._position()
        with self._lock:
            return self._due(term, committed)

    def _due(self, term: int, committed: int) -> bool:
        """Whether the oldest frame is of that term or an earlier one, and committed. Call under the lock."""
        if not self._frames:
            return False
        first = self._frames[0].header
        return first.term <= term and first.tick <= committed

    # --- Raft thread

    def expect(self, tick: int, digest: int) -> None:
        """The log holds the digest of the state at a tick."""
        self._expected.append((tick, digest))

    # --- replica thread

    def run_once(self) -> bool:
        """Applies the frames that are committed; True if there were any."""
        self._check_digests()
        moved = False
        while (frame := self._next()) is not None:
            moved |= self._apply(frame)
        if moved and self._reply is not None:
            self._reply(Ack(self._state.tick, self._durable()))
        return moved

    def _next(self) -> _Frame | None:
        """The oldest frame of the term in force, once it is committed."""
        term, committed = self._position()
        with self._lock:
            while self._due(term, committed):
                frame = self._frames.popleft()
                if frame.header.term == term:
                    return frame
        return None

    def _position(self) -> tuple[int, int]:
        """Term in force and last committed tick; a newcomer believes the stream."""
        if self._commit_known_from_log():
            return self._log.position()
        with self._lock:
            return self._stream_term, self._stream_committed

    def _apply(self, frame: _Frame) -> bool:
        header, state = frame.header, self._state
        if header.base not in {KEYFRAME, state.tick} or (header.base != KEYFRAME and not state.trusted):
            self._ask(compare=False)
            return False
        try:
            with state.lock:
                if header.base == KEYFRAME:
                    self._name_differences(frame)
                    apply_keyframe(state.table, frame.body)
                    state.forget_doubt()
                else:
                    self._audit.begin(header.base, header.tick)
                    apply_delta(state.table, frame.body, self._pool)
                state.at(header.tick)
        except StateFrameError as error:
            log.warning("a state frame does not fit", tick=header.tick, reason=str(error))
            self._ask(compare=False)
            return False
        if header.base == KEYFRAME:
            self._asked = False
        self.rejected = header.tick, header.rejected
        self._audit.end()
        return True

    def _ask(self, *, compare: bool) -> None:
        if not self._asked and self._reply is not None:
            self._asked = True
            self._reply(Resend(compare))

    def _check_digests(self) -> None:
        """Compares own digests with the log's, tick by tick; a state in doubt is not held against the log."""
        while self._state.trusted and self._expected and self._expected[0][0] <= self._state.tick:
            tick, digest = self._expected.popleft()
            mine = self._state.digest(tick)
            if mine is not None and mine != digest:
                self._state.divergences += 1
                log.error("the state diverged", tick=tick, mine=hex16(mine), active=hex16(digest))
                self._expected.clear()
                self._ask(compare=True)

    def _name_differences(self, frame: _Frame) -> None:
        """A keyframe for the tick that we are at shows what diverged."""
        state = self._state
        if not state.valid or state.tick != frame.header.tick:
            return
        theirs = type(state.table)(state.table.schema)
        apply_keyframe(theirs, frame.body)
        for component, entity in differences(state.table, theirs)[:_NAMED]:
            log.error("diverged", tick=state.tick, component=component, entity=entity)
