"""The replicated state machine of an area: the sum of its committed records.

It is small, because it does not hold the state. It holds the last tick, and the *retained records*, with which any
state that a member holds can be brought to the last tick. Raft compacts the log to its snapshot, and the next
generation starts from its snapshot.

Only the Raft thread applies records; any thread may read under `lock`.

Invariants:
    Ticks are applied once each and without a gap. A record of another term than the opened one changes nothing (the
    fence). After a seal nothing changes any more.
"""

from __future__ import annotations

import collections
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from pairsim.replication.log.orders import Orders
from pairsim.replication.log.records import (
    Engines,
    Open,
    Order,
    Record,
    RecordError,
    Seal,
    Skip,
    Tick,
    decode_record,
)

log = structlog.get_logger()

MAX_RETAINED_BYTES = 128 * 2**20
"""Beyond this size the oldest records are dropped, and a member whose state is older needs a keyframe."""

_EMPTY_ARRAY, _ARRAY32, _BIN32 = b"\x90", b"\xdd", b"\xc6"
"""MessagePack's code of an empty array, of an array, and of a byte string whose length follows in four bytes."""

_MARGIN_RECORDS = 16
"""Records that are kept below the floor, because an active that is lost may have run ahead with them."""


class TickLogListener(Protocol):
    """Receives what was applied; called in the Raft thread, after the record is applied."""

    def on_open(self, term: int) -> None:
        """Is called when a term was opened."""

    def on_tick(self, record: Tick, payload: bytes) -> None:
        """Is called when a tick is committed; `payload` is the encoded record."""

    def on_order(self, order: Order) -> None:
        """Is called when an order about engines comes into force."""

    def on_seal(self, seal: Seal) -> None:
        """Is called when the generation ended."""


class _LogSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """A tick log in the form in which it is sent and stored; field order is the format."""

    term: int
    tick: int
    floor: int
    seal: Seal | None
    last_ids: list[str]
    retained: list[bytes]
    orders: Orders = Orders()  # snapshots of earlier releases have none


def _pack(taken: _LogSnapshot, retained: Sequence[bytes]) -> bytes:
    """Encodes a snapshot with its retained records by joining bytes, which does not keep other threads waiting."""
    orders = msgspec.msgpack.encode(taken.orders)
    head = msgspec.msgpack.encode(taken)[: -len(_EMPTY_ARRAY) - len(orders)]
    parts = [head, _ARRAY32 + len(retained).to_bytes(4, "big")]
    for payload in retained:
        parts += (_BIN32 + len(payload).to_bytes(4, "big"), payload)
    return b"".join((*parts, orders))


class TickLog:
    """The tick log of one area on one member.

    Attributes:
        lock: Must be held by any thread but the Raft thread that reads more than one attribute.
        listener: Is called after each record that was applied; None for none.
        before_advance: Is called with the next tick before the log grows to it, under the lock.
        term: The opened term; 0 before the first.
        tick: The last committed tick.
        orders: The orders about engines; replaced as a whole.
        orders_before: The orders before the newest one.
        sealed: The record that ended the generation; None while it goes on.
        fenced: How many records were ignored.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.listener: TickLogListener | None = None
        self.before_advance: Callable[[int], None] = lambda _tick: None
        self.term = 0
        self.tick = 0
        self.orders = self.orders_before = Orders()
        self.sealed: Seal | None = None
        self.fenced = 0
        self._floor = 0
        self._last_ids: list[str] = []
        self._retained: collections.deque[bytes] = collections.deque()
        self._retained_bytes = 0

    # --- the state machine, in the Raft thread

    def apply(self, payload: bytes) -> None:
        """Applies a committed record; every member logs and skips bytes that are not a record."""
        try:
            record = decode_record(payload)
        except RecordError:
            log.exception("ignored invalid record")
            return
        with self.lock:
            counts = self._order(record) if isinstance(record, Skip | Engines) else self._apply(record, payload)
        if not counts:
            self.fenced += 1
        elif self.listener is not None:
            self._notify(self.listener, record, payload)

    def _apply(self, record: Open | Tick | Seal, payload: bytes) -> bool:
        if self.sealed is not None:
            return False
        if isinstance(record, Open):
            if record.term <= self.term:
                return False
            self.term = record.term
            return True
        if record.term != self.term:
            return False
        match record:
            case Tick():
                return self._apply_tick(record, payload)
            case Seal():
                if record.tick != self.tick:
                    return False
                self.sealed = record
                return True

    def _apply_tick(self, record: Tick, payload: bytes) -> bool:
        if record.tick != self.tick + 1:
            return False
        self.before_advance(record.tick)
        self._last_ids = [command.id for command in record.commands]
        self.tick = record.tick
        self._floor = max(self._floor, record.floor)
        self._retained.append(payload)
        self._retained_bytes += len(payload)
        wanted = self.tick - self._floor + _MARGIN_RECORDS
        while len(self._retained) > wanted or self._retained_bytes > MAX_RETAINED_BYTES:
            self._retained_bytes -= len(self._retained.popleft())
        self.orders = self.orders.forget(self.tick - len(self._retained))
        return True

    def _order(self, order: Order) -> bool:
        if self.sealed is not None or order.term != self.term:
            return False
        after = self.orders.after(order, self.tick, self._last_ids)
        if after is self.orders:
            return False
        self.orders_before, self.orders = self.orders, after
        return True

    @staticmethod
    def _notify(listener: TickLogListener, record: Record, payload: bytes) -> None:
        match record:
            case Open():
                listener.on_open(record.term)
            case Tick():
                listener.on_tick(record, payload)
            case Skip() | Engines():
                listener.on_order(record)
            case Seal():
                listener.on_seal(record)

    def snapshot(self) -> bytes:
        """Returns a snapshot of everything applied so far."""
        return self.begin_snapshot()()

    def begin_snapshot(self) -> Callable[[], bytes]:
        """Captures everything applied so far, and returns a function that packs it.

        Packing takes a while if many records are retained; any thread may do it.
        """
        with self.lock:
            taken = _LogSnapshot(
                term=self.term,
                tick=self.tick,
                floor=self._floor,
                seal=self.sealed,
                last_ids=self._last_ids,
                retained=[],
                orders=self.orders,
            )
            retained = list(self._retained)
        return lambda: _pack(taken, retained)

    def restore(self, snapshot: bytes) -> None:
        """Replaces the content by a snapshot, unless this log is already past it."""
        taken = msgspec.msgpack.decode(snapshot, type=_LogSnapshot)
        with self.lock:
            if (taken.term, taken.tick, taken.orders.revision) < (self.term, self.tick, self.orders.revision):
                return
            self.before_advance(taken.tick)
            self.term, self.tick, self._floor = taken.term, taken.tick, taken.floor
            self.sealed, self.orders = taken.seal, taken.orders
            self._last_ids = taken.last_ids
            self._retained = collections.deque(taken.retained)
            self._retained_bytes = sum(map(len, taken.retained))
        if self.sealed is not None and self.listener is not None:
            self.listener.on_seal(self.sealed)

    def unseal(self) -> None:
        """Removes the seal, so that the next generation starts where the sealed one ended."""
        with self.lock:
            self.sealed = None

    # --- reading

    def position(self) -> tuple[int, int]:
        """Returns the opened term and the last committed tick of the same moment."""
        with self.lock:
            return self.term, self.tick

    @property
    def last_commands(self) -> Sequence[str]:
        """The ids of the commands of the last tick; replaced as a whole."""
        return self._last_ids

    def reaches(self, tick: int) -> bool:
        """Returns whether the retained records lead from the state at that tick to the last tick."""
        with self.lock:
            return self.tick - len(self._retained) <= tick <= self.tick

    def payloads_after(self, tick: int) -> list[bytes]:
        """Returns the retained records from `tick + 1` on, oldest first."""
        with self.lock:
            skip = tick - (self.tick - len(self._retained))
            return list(itertools.islice(self._retained, max(skip, 0), None))

    def has_ticks_of(self, term: int, first: int, last: int) -> bool:
        """Returns whether the retained records show that no tick in (first, last] is of a term after this one."""
        if not self.reaches(first):
            return False
        records = map(decode_record, self.payloads_after(first)[: last - first])
        return not any(isinstance(record, Tick) and record.term > term for record in records)

    def payload(self, tick: int) -> bytes | None:
        """Returns the retained record of a tick; None if it is not retained."""
        with self.lock:
            index = tick - (self.tick - len(self._retained)) - 1
            return self._retained[index] if 0 <= index < len(self._retained) else None
