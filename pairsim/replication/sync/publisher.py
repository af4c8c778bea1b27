"""How the state gets from the active to the passive, beside the log: frames, subscribers, back-pressure.

A subscriber gets one keyframe, then deltas, each against the frame before it. All subscribers share one chain, so
a delta is encoded and packed once. Nothing queues up: while a subscriber has `WINDOW` frames unacknowledged no
frame is made, and the next delta spans the ticks between; one that stays behind leaves the chain until it has
caught up and then gets a keyframe. What a frame lacks, the log has (replay).

The subscriber applies the delta of a tick only when that tick is committed, so it is never ahead of what could
be undone.
"""

from __future__ import annotations

import collections
import threading
from typing import Protocol

from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table
from pairsim.replication.log.records import Rejection
from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.sync.codec import Draft, Encoder, pack
from pairsim.replication.sync.messages import (
    KEYFRAME,
    Ack,
    FrameHeader,
    Resend,
    ToActive,
    ToSubscriber,
    Watermark,
)

WINDOW = 4
LAPSE_TICKS = 40


class Packed:
    """A draft that is packed by whichever I/O thread needs it first, once."""

    def __init__(self, draft: Draft, meters: ReplicaMeasurements) -> None:
        self._lock = threading.Lock()
        self._meters = meters
        self._draft: Draft | None = draft
        self._bytes = b""

    def bytes(self) -> bytes:
        """The packed columns."""
        with self._lock:
            if self._draft is not None:
                self._bytes, self._draft = pack(self._draft), None
                self._meters.sync_bytes += len(self._bytes)
                self._meters.sync_frames += 1
            return self._bytes


class Outlet(Protocol):
    """The way to one subscriber; never blocks, and holds at most `WINDOW` frames and a few watermarks."""

    def offer(self, message: ToSubscriber, body: Packed | None) -> None:
        """Sends a message, soon; drops a watermark (which has no body) for which there is no room."""


class Subscriber:
    """One passive or joining replica, as the active sees it."""

    def __init__(self, name: str, outlet: Outlet) -> None:
        self.name = name
        self.outlet = outlet
        self.acked = KEYFRAME
        self.durable = 0
        self.on_chain = False
        self.compare = False
        self.unacked: collections.deque[int] = collections.deque()

    @property
    def full(self) -> bool:
        """Whether it has as many frames under way as it may have."""
        return len(self.unacked) >= WINDOW


class StatePublisher:
    """The active's side: one chain, many subscribers."""

    def __init__(self, schema: Schema, meters: ReplicaMeasurements) -> None:
        self._encoder = Encoder(schema)
        self._meters = meters
        self._lock = threading.Lock()
        self._subscribers: dict[str, Subscriber] = {}
        self._chain_tick = KEYFRAME

    # --- any thread

    def join(self, name: str, outlet: Outlet) -> Subscriber:
        """Adds a subscriber; one of the same name is replaced."""
        subscriber = Subscriber(name, outlet)
        with self._lock:
            self._subscribers[name] = subscriber
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Removes a subscriber."""
        with self._lock:
            if self._subscribers.get(subscriber.name) is subscriber:
                del self._subscribers[subscriber.name]

    def on_message(self, subscriber: Subscriber, message: ToActive) -> None:
        """Takes what a subscriber said."""
        with self._lock:
            match message:
                case Ack():
                    subscriber.acked, subscriber.durable = message.tick, message.durable
                    while subscriber.unacked and subscriber.unacked[0] <= message.tick:
                        subscriber.unacked.popleft()
                case Resend():
                    if message.compare and subscriber.on_chain:
                        subscriber.compare = True
                    else:
                        subscriber.on_chain = False
                        subscriber.unacked.clear()

    def acked(self, name: str) -> int:
        """The tick that a subscriber's state is at; `KEYFRAME` if it has none or is not there."""
        with self._lock:
            subscriber = self._subscribers.get(name)
            return subscriber.acked if subscriber else KEYFRAME

    def durables(self) -> dict[str, int]:
        """The ticks of the subscribers' checkpoints on disk; 0 until they have said it."""
        with self._lock:
            return {s.name: s.durable for s in self._subscribers.values()}

    # --- replica thread

    @property
    def tick(self) -> int:
        """The tick of the last frame."""
        return self._chain_tick

    def forget(self) -> None:
        """The leadership is over: subscribers stay connected, and the next leadership starts with keyframes."""
        with self._lock:
            self._chain_tick = KEYFRAME
            for subscriber in self._subscribers.values():
                subscriber.on_chain = subscriber.compare = False
                subscriber.acked = KEYFRAME
                subscriber.unacked.clear()

    def watermark(self, term: int, committed: int) -> None:
        """Tells everybody what is committed when no frame follows that would.

        It may be lost on the way to one that is behind: whoever waits for what it brings about says it again.
        """
        with self._lock:
            for subscriber in self._subscribers.values():
                subscriber.outlet.offer(Watermark(term, committed), None)

    def publish(self, table: Table, *, term: int, tick: int, committed: int, rejected: list[Rejection]) -> None:
        """Sends the state at `tick` to whoever has room for it."""
        with self._lock:
            chain = [s for s in self._subscribers.values() if s.on_chain]
            if any(s.full for s in chain):
                self._meters.sync_skipped += 1
                if tick - self._chain_tick < LAPSE_TICKS:
                    return
                for late in (s for s in chain if s.full):
                    late.on_chain = False
                chain = [s for s in chain if s.on_chain]
            new = [s for s in self._subscribers.values() if not s.on_chain and not s.full]
            if chain:
                header = FrameHeader(term, tick, self._chain_tick, committed, rejected)
                self._send(chain, header, self._encoder.delta(table))
            elif new:
                self._encoder.rebase(table)
            else:
                return
            self._chain_tick = tick
            new += [s for s in chain if s.compare]
            if new:
                header = FrameHeader(term, tick, KEYFRAME, committed, rejected)
                self._send(new, header, self._encoder.keyframe())

    def _send(self, subscribers: list[Subscriber], header: FrameHeader, draft: Draft) -> None:
        body = Packed(draft, self._meters)
        for subscriber in subscribers:
            subscriber.unacked.append(header.tick)
            if header.base == KEYFRAME:
                subscriber.on_chain, subscriber.compare = True, False
            subscriber.outlet.offer(header, body)
