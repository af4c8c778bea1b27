"""The passive's side of the state stream: it applies frames to a state that never runs ahead of the commit.

A frame may be applied when its term is in force and its tick is committed. Frames arrive on the stream, commits through
the log, in either order. A newcomer's own log is not complete yet, so until it votes it takes term and commit from the
stream.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable

import msgspec
import structlog

from pairsim.model.borders import DEFAULT_LIMITS, BorderState
from pairsim.model.borders.codec import BorderCodecError, decode_state
from pairsim.model.borders.codec import apply_delta as apply_border_delta
from pairsim.model.state.digest import hex16
from pairsim.model.state.schema import Schema
from pairsim.model.state.stored_schema import schema_difference
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.sync.buffers import BufferPool
from pairsim.replication.sync.codec import StateFrameError, apply_delta, apply_keyframe, find_differences
from pairsim.replication.sync.messages import KEYFRAME, Ack, FrameHeader, Resend, ToActive, ToSubscriber
from pairsim.replication.sync.publisher import WINDOW_FRAMES
from pairsim.replication.sync.self_check import SelfCheck
from pairsim.replication.sync.state import DIGESTS_KEPT, ReplicaState

log = structlog.get_logger()

_DIFFERENCES_LOGGED = 5


class ReceivedFrame(msgspec.Struct, frozen=True):
    """A frame that waits for the commit of its tick."""

    header: FrameHeader
    body: memoryview


class Follower:
    """Applies the frames of the active to a replica's state.

    The stream's thread calls `receive`, `on_connected` and `on_disconnected`; the replica's thread calls
    `apply_committed`; the Raft thread calls `expect_digest`.

    Attributes:
        misfit: Why the active's last keyframe does not fit the own simulator; empty if it does.
        received_bytes: Returns how much of the frame that is under way has come; 0 without a stream.
    """

    def __init__(
        self,
        state: ReplicaState,
        ticks: TickLog,
        durable: Callable[[], int],
        self_check: SelfCheck,
        commit_known_from_log: Callable[[], bool],
    ) -> None:
        """Starts without a stream.

        Args:
            state: The state that the frames change.
            ticks: The own log.
            durable: Returns the tick of the newest checkpoint on disk.
            self_check: Executes some ticks itself.
            commit_known_from_log: Returns whether the own log shows all commits; the log of a newcomer does not yet, so
                a newcomer trusts the stream.
        """
        self._state = state
        self._self_check = self_check
        self._log = ticks
        self._durable = durable
        self._lock = threading.Lock()
        self._pool = BufferPool()
        self._frames: collections.deque[ReceivedFrame] = collections.deque()
        self._reply: Callable[[ToActive], None] | None = None
        self._expected: collections.deque[tuple[int, int]] = collections.deque(maxlen=DIGESTS_KEPT)
        self._asked = False
        self._commit_known_from_log = commit_known_from_log
        self.misfit = ""
        self.received_bytes: Callable[[], int] = lambda: 0
        self._stream_term = self._stream_committed = 0

    # --- stream thread

    def on_connected(self, reply: Callable[[ToActive], None], received_bytes: Callable[[], int] = lambda: 0) -> None:
        """Starts a stream, which begins with a keyframe.

        Args:
            reply: Sends messages to the active.
            received_bytes: Returns how much of the frame that is under way has come.
        """
        self._restart(reply)
        self.received_bytes = received_bytes

    def on_disconnected(self) -> None:
        """Drops the frames of the ended stream."""
        self._restart(None)

    def _restart(self, reply: Callable[[ToActive], None] | None) -> None:
        with self._lock:
            self._frames.clear()
        self._reply = reply
        self._asked = False
        self.received_bytes = lambda: 0

    def receive(self, message: ToSubscriber, body: memoryview) -> bool:
        """Queues a message of the active; returns False if the active has sent more frames than it may."""
        committed = message.committed if isinstance(message, FrameHeader) else message.tick
        with self._lock:
            self._stream_term = max(self._stream_term, message.term)
            self._stream_committed = max(self._stream_committed, committed)
            if isinstance(message, FrameHeader):
                if self._frames and self._frames[-1].header.term < message.term:
                    self._frames.clear()  # a leadership starts with a keyframe, so frames of earlier ones are useless
                self._frames.append(ReceivedFrame(message, body))
        return len(self._frames) <= 2 * WINDOW_FRAMES

    # --- any thread

    def ready(self) -> bool:
        """Returns whether `apply_committed` has a frame to apply or to drop."""
        term, committed = self._position()
        with self._lock:
            return self._due(term, committed)

    def _due(self, term: int, committed: int) -> bool:
        """Returns whether the oldest frame is committed and not of a later term. Call it under the lock."""
        if not self._frames:
            return False
        first = self._frames[0].header
        return first.term <= term and first.tick <= committed

    # --- Raft thread

    def expect_digest(self, tick: int, digest: int) -> None:
        """Records the digest that the log holds for the state at a tick."""
        self._expected.append((tick, digest))

    # --- replica thread

    def apply_committed(self) -> bool:
        """Applies all frames whose ticks are committed; returns whether the state moved."""
        self._check_digests()
        moved = False
        while (frame := self._next()) is not None:
            moved |= self._apply(frame)
        reply = self._reply  # the stream's thread removes it when the stream ends
        if moved and reply is not None:
            reply(Ack(self._state.tick, self._durable()))
        return moved

    def _next(self) -> ReceivedFrame | None:
        """Returns the oldest frame of the current term if it is committed; drops frames of earlier terms."""
        term, committed = self._position()
        with self._lock:
            while self._due(term, committed):
                frame = self._frames.popleft()
                if frame.header.term == term:
                    return frame
        return None

    def _position(self) -> tuple[int, int]:
        """Returns the term in force and the last committed tick, from the log or else from the stream."""
        if self._commit_known_from_log():
            return self._log.position()
        with self._lock:
            return self._stream_term, self._stream_committed

    def _apply(self, frame: ReceivedFrame) -> bool:
        header, state = frame.header, self._state
        if header.base not in {KEYFRAME, state.tick} or (header.base != KEYFRAME and not state.confirmed):
            self._request_keyframe(compare=False)
            return False
        try:
            if header.base == KEYFRAME:
                borders = decode_state(header.borders, state.table.schema, DEFAULT_LIMITS)
            else:
                borders = apply_border_delta(state.borders, header.borders, state.table.schema)
            with state.lock:
                if header.base == KEYFRAME:
                    self._check_columns(header)
                    self._log_differences(frame, borders)
                    apply_keyframe(state.table, frame.body)
                    state.clear_unconfirmed()
                else:
                    self._self_check.begin(header.base, header.tick)
                    apply_delta(state.table, frame.body, self._pool)
                state.borders = borders
                state.mark_tick(header.tick)
        except (StateFrameError, BorderCodecError) as error:
            log.warning("state frame does not fit", tick=header.tick, reason=str(error))
            if header.base == KEYFRAME:
                self.misfit = f"the active's state does not fit its simulator: {error}"
            self._request_keyframe(compare=False)
            return False
        if header.base == KEYFRAME:
            self._asked, self.misfit = False, ""
        self._self_check.end()
        return True

    def _check_columns(self, header: FrameHeader) -> None:
        """Raises `StateFrameError` if the active's columns are others: equal sizes alone do not make them the same."""
        if header.columns is None:
            return
        try:
            difference = schema_difference(Schema(tuple(header.columns)), self._state.table.schema)
        except ValueError as error:
            raise StateFrameError(f"invalid columns of the active: {error}") from error
        if difference:
            raise StateFrameError(difference)

    def _request_keyframe(self, *, compare: bool) -> None:
        reply = self._reply
        if not self._asked and reply is not None:
            self._asked = True
            reply(Resend(compare))

    def _check_digests(self) -> None:
        """Compares the own digests with the log's, tick by tick; an unconfirmed state is not compared."""
        while self._state.confirmed and self._expected and self._expected[0][0] <= self._state.tick:
            tick, digest = self._expected.popleft()
            mine = self._state.digest(tick)
            if mine is not None and mine != digest:
                self._state.divergences += 1
                log.error("state diverged", tick=tick, mine=hex16(mine), active=hex16(digest))
                self._expected.clear()
                self._request_keyframe(compare=True)

    def _log_differences(self, frame: ReceivedFrame, borders: BorderState) -> None:
        """Logs what diverged, if a keyframe is of the same tick as the own state."""
        state = self._state
        if not state.valid or state.tick != frame.header.tick:
            return
        theirs = type(state.table)(state.table.schema)
        apply_keyframe(theirs, frame.body)
        if borders.digest() != state.borders.digest():
            log.error("the borders diverged", tick=state.tick)
        for component, entity in find_differences(state.table, theirs)[:_DIFFERENCES_LOGGED]:
            log.error("component diverged", tick=state.tick, component=component, entity=entity)
