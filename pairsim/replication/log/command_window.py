"""The ids of an area's newest commands: what makes a command idempotent across takeovers.

Kept by 128-bit hash, so that a long id costs no more than a short one: about 125 bytes each, 16 MB when full, and
what the reasons of rejected ones take. Eviction is strictly by insertion, so every replica forgets the same ids at
the same tick.
"""

from __future__ import annotations

import collections

import msgspec
import xxhash

LIMIT = 131_072
"""Ids that an area remembers; one that is older may run again."""

MAX_REASON = 256
"""Characters of a reason that are kept."""

_KEY = 16


class Known(msgspec.Struct, frozen=True, array_like=True):
    """A command that ran: in which tick, and why it was rejected (empty if it was applied)."""

    tick: int
    reason: str = ""


class WindowError(ValueError):
    """Bytes that are no dump of a window."""


class _Dump(msgspec.Struct, frozen=True, array_like=True):
    """Hashes one after the other, oldest first; their ticks; reasons by hash."""

    ids: bytes
    ticks: list[int]
    reasons: list[tuple[bytes, str]]


class CommandWindow:
    """The newest `limit` command ids of an area."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._ticks: dict[bytes, int] = {}
        self._order: collections.deque[bytes] = collections.deque()  # a dict is slow to find its oldest key
        self._reasons: dict[bytes, str] = {}

    def __len__(self) -> int:
        return len(self._ticks)

    def add(self, command_id: str, tick: int) -> None:
        """A command runs in a tick; an id that is known keeps its first tick."""
        key = _key(command_id)
        if key in self._ticks:
            return
        self._ticks[key] = tick
        self._order.append(key)
        if len(self._ticks) > self._limit:
            self._evict()

    def reject(self, command_id: str, reason: str) -> None:
        """A known command was rejected."""
        key = _key(command_id)
        if key in self._ticks:
            self._reasons[key] = reason[:MAX_REASON]

    def get(self, command_id: str) -> Known | None:
        """What is known of a command."""
        key = _key(command_id)
        tick = self._ticks.get(key)
        return None if tick is None else Known(tick, self._reasons.get(key, ""))

    def dump(self) -> bytes:
        """Everything, for a snapshot; equal windows dump equal bytes."""
        return _encode(_Dump(b"".join(self._order), list(self._ticks.values()), sorted(self._reasons.items())))

    def load(self, data: bytes) -> None:
        """Takes a dump's place; of a larger window's, the newest.

        Raises:
            WindowError: It is no dump; this window is as it was.
        """
        try:
            dump = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WindowError(f"not a window of commands: {error}") from error
        keys = [dump.ids[at : at + _KEY] for at in range(0, len(dump.ids), _KEY)]
        ticks, reasons = dict(zip(keys, dump.ticks, strict=False)), dict(dump.reasons)
        if len(dump.ids) != _KEY * len(dump.ticks) or len(ticks) != len(keys) or not reasons.keys() <= ticks.keys():
            raise WindowError("not a window of commands: its ids, ticks and reasons do not belong together")
        self._ticks, self._order, self._reasons = ticks, collections.deque(keys), reasons
        while len(self._ticks) > self._limit:
            self._evict()

    def _evict(self) -> None:
        oldest = self._order.popleft()
        del self._ticks[oldest]
        self._reasons.pop(oldest, None)


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Dump)


def _key(command_id: str) -> bytes:
    return xxhash.xxh3_128_digest(command_id.encode())
