"""The active's side of the state stream: frames, subscribers and back-pressure.

A subscriber gets one keyframe, then deltas, each based on the frame before it. All subscribers share one chain of
deltas, so each delta is encoded and packed once.

Frames do not queue up. While a subscriber has `WINDOW_FRAMES` unacknowledged frames, the publisher makes none, and the
next delta spans all ticks since the last frame. A subscriber that stalls the chain for `MAX_STALL_TICKS` leaves the
chain; when it has caught up it gets a keyframe and joins the chain again. The log has the ticks that a frame skips, so
a new active can replay them.

A subscriber applies the delta of a tick only when that tick is committed, so its state never contains a tick that
could be undone.
"""

from __future__ import annotations

import collections
import threading
from typing import Protocol

from pairsim.model.borders import BorderState
from pairsim.model.borders.codec import encode_delta, encode_state
from pairsim.model.state.schema import Schema
from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.sync.codec import PendingFrame, delta, keyframe, pack
from pairsim.replication.sync.messages import (
    KEYFRAME,
    Ack,
    FrameHeader,
    Resend,
    ToActive,
    ToSubscriber,
    Watermark,
)
from pairsim.replication.sync.snapshots import Snapshot

WINDOW_FRAMES = 4
"""How many unacknowledged frames a subscriber may have."""

MAX_STALL_TICKS = 40
"""How many ticks a slow subscriber may hold up the frames of all."""


class PackedFrame:
    """A frame that is packed once, by the first I/O thread that needs its bytes."""

    def __init__(self, frame: PendingFrame, meters: ReplicaMeasurements) -> None:
        self._lock = threading.Lock()
        self._meters = meters
        self._pending: PendingFrame | None = frame
        self._bytes = b""

    def bytes(self) -> bytes:
        """Returns the packed columns."""
        with self._lock:
            if self._pending is not None:
                self._bytes, self._pending = pack(self._pending), None
                self._meters.sync_bytes += len(self._bytes)
                self._meters.sync_frames += 1
            return self._bytes


class Outlet(Protocol):
    """The way to one subscriber; it never blocks, and holds at most `WINDOW_FRAMES` frames and a few watermarks."""

    def offer(self, message: ToSubscriber, body: PackedFrame | None) -> None:
        """Queues a message; drops a watermark (which has no body) if the room is used up."""


class Subscriber:
    """One passive or joining replica, as the active sees it.

    Attributes:
        name: The name of the replica.
        outlet: The way to it.
        acked: The tick that its state has reached; `KEYFRAME` if it has none.
        durable: The tick of its newest checkpoint on disk.
        on_chain: Whether it gets the shared deltas.
        compare: Whether its next delta is accompanied by a keyframe of the same tick.
        unacked: The ticks of the frames that it has not acknowledged, oldest first.
    """

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
        """Whether it has as many unacknowledged frames as it may have."""
        return len(self.unacked) >= WINDOW_FRAMES


class StatePublisher:
    """Publishes the state of an area: one chain of frames for many subscribers."""

    def __init__(self, schema: Schema, meters: ReplicaMeasurements) -> None:
        self._columns = list(schema)
        self._base: Snapshot | None = None
        self._base_borders: BorderState | None = None
        self._meters = meters
        self._lock = threading.Lock()
        self._subscribers: dict[str, Subscriber] = {}
        self._chain_tick = KEYFRAME

    # --- any thread

    def join(self, name: str, outlet: Outlet) -> Subscriber:
        """Adds a subscriber; it replaces an earlier one of the same name."""
        subscriber = Subscriber(name, outlet)
        with self._lock:
            self._subscribers[name] = subscriber
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Removes a subscriber, unless another one has replaced it."""
        with self._lock:
            if self._subscribers.get(subscriber.name) is subscriber:
                del self._subscribers[subscriber.name]

    def on_message(self, subscriber: Subscriber, message: ToActive) -> None:
        """Handles a message of a subscriber."""
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
        """Returns the tick of a subscriber's state; `KEYFRAME` if it has no state or is not subscribed."""
        with self._lock:
            subscriber = self._subscribers.get(name)
            return subscriber.acked if subscriber else KEYFRAME

    def durable_ticks(self) -> dict[str, int]:
        """Returns the tick of each subscriber's newest checkpoint on disk; 0 until the subscriber has reported it."""
        with self._lock:
            return {s.name: s.durable for s in self._subscribers.values()}

    # --- replica thread

    @property
    def tick(self) -> int:
        """The tick of the last frame; `KEYFRAME` before the first one of a leadership."""
        return self._chain_tick

    @property
    def has_newcomers(self) -> bool:
        """Whether a subscriber with room for a frame waits for a keyframe."""
        with self._lock:
            return any(not s.on_chain and not s.full for s in self._subscribers.values())

    def reset(self) -> None:
        """Ends a leadership: subscribers stay connected, and the next leadership starts with keyframes.

        Acknowledgements of the ended leadership do not count for the next one.
        """
        with self._lock:
            self._base, self._chain_tick = None, KEYFRAME
            for subscriber in self._subscribers.values():
                subscriber.on_chain = subscriber.compare = False
                subscriber.acked = KEYFRAME
                subscriber.unacked.clear()

    def send_watermark(self, term: int, committed: int) -> None:
        """Sends the newest committed tick to all subscribers, for when no frame follows that would carry it.

        Best effort: a full outlet drops it. The caller repeats it while it waits for the subscribers to catch up.
        """
        with self._lock:
            for subscriber in self._subscribers.values():
                subscriber.outlet.offer(Watermark(term, committed), None)

    def publish(
        self,
        snapshot: Snapshot,
        borders: BorderState,
        *,
        term: int,
        tick: int,
        committed: int,
    ) -> None:
        """Sends the state at `tick` to all subscribers that have room for a frame."""
        with self._lock:
            chain = [s for s in self._subscribers.values() if s.on_chain]
            if any(s.full for s in chain):
                self._meters.sync_skipped += 1
                if tick - self._chain_tick < MAX_STALL_TICKS:
                    return
                for late in (s for s in chain if s.full):
                    late.on_chain = False
                chain = [s for s in chain if s.on_chain]
            new = [s for s in self._subscribers.values() if not s.on_chain and not s.full]
            if chain and self._base is not None and self._base_borders is not None:
                header = FrameHeader(term, tick, self._chain_tick, committed, encode_delta(self._base_borders, borders))
                self._send(chain, header, delta(self._base, snapshot))
            elif not new:
                return
            self._base, self._base_borders, self._chain_tick = snapshot, borders, tick
            new += [s for s in chain if s.compare]
            if new:
                header = FrameHeader(term, tick, KEYFRAME, committed, encode_state(borders), self._columns)
                self._send(new, header, keyframe(snapshot))

    def _send(self, subscribers: list[Subscriber], header: FrameHeader, frame: PendingFrame) -> None:
        body = PackedFrame(frame, self._meters)
        for subscriber in subscribers:
            subscriber.unacked.append(header.tick)
            if header.base == KEYFRAME:
                subscriber.on_chain, subscriber.compare = True, False
            subscriber.outlet.offer(header, body)
