"""The replicated state machine: what the committed records of an area add up to.

It is small, because the entities are not in it: the last tick, the window of command ids, the authority, and
the *retained records*, from which any state that a member holds can be carried on to the last tick. Its
snapshot is what Raft compacts to and what the next generation starts from.

Applied in the Raft thread only; read by any thread under `lock`.

Invariants:
    Ticks are applied once each and without a gap; a record of another term than the opened one changes nothing
    (the fence); after a seal nothing changes any more.
"""

from __future__ import annotations

import collections
import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from pairsim.model.authority import Authority
from pairsim.replication.log.command_window import CommandWindow
from pairsim.replication.log.records import Grant, Open, RecordError, Seal, Tick, decode_record

log = structlog.get_logger()

MAX_RETAINED_BYTES = 128 * 2**20
"""Beyond this the oldest records go, and a member whose state is older needs a keyframe."""

_NONE, _ARRAY, _BYTES = b"\x90", b"\xdd", b"\xc6"
"""MessagePack's for an empty array, and for an array and a byte string whose length follows in four bytes."""

_MARGIN = 16
"""Records kept below the floor: the ones that a lost leadership may have run ahead with."""


class TickLogListener(Protocol):
    """Learns what was applied; called in the Raft thread, after the fact."""

    def on_open(self, term: int) -> None:
        """A term was opened."""

    def on_tick(self, record: Tick, payload: bytes) -> None:
        """A tick is committed."""

    def on_grant(self, authority: Authority) -> None:
        """An authority is in force."""

    def on_seal(self, seal: Seal) -> None:
        """The generation is over."""


class _Snapshot(msgspec.Struct, frozen=True, array_like=True):
    term: int
    tick: int
    floor: int
    authority: Authority
    seal: Seal | None
    window: bytes
    last_ids: list[str]
    retained: list[bytes]


def _pack(taken: _Snapshot, retained: Sequence[bytes]) -> bytes:
    """Encodes a snapshot with the records that it retains: joined, which other threads need not wait for."""
    parts = [msgspec.msgpack.encode(taken)[: -len(_NONE)], _ARRAY + len(retained).to_bytes(4, "big")]
    for payload in retained:
        parts += (_BYTES + len(payload).to_bytes(4, "big"), payload)
    return b"".join(parts)


class TickLog:
    """See the module."""

    def __init__(self, authority: Authority) -> None:
        self.lock = threading.RLock()
        self.listener: TickLogListener | None = None
        self.window = CommandWindow()
        self.term = 0
        self.tick = 0
        self.authority = authority
        self.sealed: Seal | None = None
        self.fenced = 0
        self._floor = 0
        self._last_ids: list[str] = []
        self._retained: collections.deque[bytes] = collections.deque()
        self._retained_bytes = 0

    # --- the machine, in the Raft thread

    def apply(self, payload: bytes) -> None:
        """Applies a committed record; bytes that are none are logged and skipped, alike on every member."""
        try:
            record = decode_record(payload)
        except RecordError:
            log.exception("a committed entry is no record")
            return
        with self.lock:
            counts = self._apply(record, payload)
        if not counts:
            self.fenced += 1
        elif self.listener is not None:
            self._tell(self.listener, record, payload)

    def _apply(self, record: Open | Tick | Grant | Seal, payload: bytes) -> bool:
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
            case Grant():
                if record.authority.epoch <= self.authority.epoch:
                    return False
                self.authority = record.authority
                return True
            case Seal():
                if record.tick != self.tick:
                    return False
                self.sealed = record
                return True

    def _apply_tick(self, record: Tick, payload: bytes) -> bool:
        if record.tick != self.tick + 1:
            return False
        for rejection in record.rejected:
            if rejection.index < len(self._last_ids):
                self.window.reject(self._last_ids[rejection.index], rejection.reason)
        self._last_ids = [command.id for command in record.commands]
        for command_id in self._last_ids:
            self.window.add(command_id, record.tick)
        self.tick = record.tick
        self._floor = max(self._floor, record.floor)
        self._retained.append(payload)
        self._retained_bytes += len(payload)
        wanted = self.tick - self._floor + _MARGIN
        while len(self._retained) > wanted or self._retained_bytes > MAX_RETAINED_BYTES:
            self._retained_bytes -= len(self._retained.popleft())
        return True

    @staticmethod
    def _tell(listener: TickLogListener, record: Open | Tick | Grant | Seal, payload: bytes) -> None:
        match record:
            case Open():
                listener.on_open(record.term)
            case Tick():
                listener.on_tick(record, payload)
            case Grant():
                listener.on_grant(record.authority)
            case Seal():
                listener.on_seal(record)

    def snapshot(self) -> bytes:
        """Everything applied so far."""
        return self.draft()()

    def draft(self) -> Callable[[], bytes]:
        """A snapshot of everything applied so far; any thread may pack it, which takes a while if much is retained."""
        with self.lock:
            taken = _Snapshot(
                term=self.term,
                tick=self.tick,
                floor=self._floor,
                authority=self.authority,
                seal=self.sealed,
                window=self.window.dump(),
                last_ids=self._last_ids,
                retained=[],
            )
            retained = list(self._retained)
        return lambda: _pack(taken, retained)

    def restore(self, snapshot: bytes) -> None:
        """Takes a snapshot's place, unless this log is already past it."""
        taken = msgspec.msgpack.decode(snapshot, type=_Snapshot)
        with self.lock:
            if (taken.term, taken.tick) < (self.term, self.tick):
                return
            self.term, self.tick, self._floor = taken.term, taken.tick, taken.floor
            self.authority, self.sealed = taken.authority, taken.seal
            self.window = CommandWindow()
            self.window.load(taken.window)
            self._last_ids = taken.last_ids
            self._retained = collections.deque(taken.retained)
            self._retained_bytes = sum(map(len, taken.retained))
        if self.sealed is not None and self.listener is not None:
            self.listener.on_seal(self.sealed)

    def unseal(self) -> None:
        """Starts the next generation from where the sealed one ended."""
        with self.lock:
            self.sealed = None

    # --- reading

    def position(self) -> tuple[int, int]:
        """The term in force and the last committed tick, of one moment."""
        with self.lock:
            return self.term, self.tick

    def reaches(self, tick: int) -> bool:
        """Whether the retained records lead from the state at that tick to the last one."""
        with self.lock:
            return self.tick - len(self._retained) <= tick <= self.tick

    def payloads_after(self, tick: int) -> list[bytes]:
        """The retained records from `tick + 1` on, oldest first."""
        with self.lock:
            skip = tick - (self.tick - len(self._retained))
            return list(itertools.islice(self._retained, max(skip, 0), None))

    def payload(self, tick: int) -> bytes | None:
        """The retained record of a tick."""
        with self.lock:
            index = tick - (self.tick - len(self._retained)) - 1
            return self._retained[index] if 0 <= index < len(self._retained) else None
