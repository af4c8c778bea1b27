"""The ids of an area's newest commands: what makes a command idempotent across takeovers.

Kept by 128-bit hash, so that a long id costs no more than a short one: about 150 bytes each, 20 MB when full.
Eviction is strictly by insertion, so every replica forgets the same ids at the same tick.
"""

from __future__ import annotations

import msgspec
import xxhash

LIMIT = 131_072
MAX_REASON = 256


class Known(msgspec.Struct, frozen=True, array_like=True):
    """A command that ran: in which tick, and why it was rejected (empty if it was applied)."""

    tick: int
    reason: str = ""


class _Dump(msgspec.Struct, frozen=True, array_like=True):
    ids: bytes
    ticks: list[int]
    reasons: dict[int, str]


class CommandWindow:
    """The newest `limit` command ids of an area."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._ticks: dict[bytes, int] = {}
        self._reasons: dict[bytes, str] = {}

    def __len__(self) -> int:
        return len(self._ticks)

    def add(self, command_id: str, tick: int) -> None:
        """A command runs in a tick; an id that is known keeps its first tick."""
        key = _key(command_id)
        if key in self._ticks:
            return
        self._ticks[key] = tick
        if len(self._ticks) > self._limit:
            oldest = next(iter(self._ticks))
            del self._ticks[oldest]
            self._reasons.pop(oldest, None)

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
        """Everything, for a snapshot."""
        places = {key: place for place, key in enumerate(self._ticks) if key in self._reasons}
        return msgspec.msgpack.encode(
            _Dump(
                b"".join(self._ticks),
                list(self._ticks.values()),
                {place: self._reasons[key] for key, place in places.items()},
            )
        )

    def load(self, data: bytes) -> None:
        """Takes a dump's place."""
        dump = msgspec.msgpack.decode(data, type=_Dump)
        keys = [dump.ids[at : at + 16] for at in range(0, len(dump.ids), 16)]
        self._ticks = dict(zip(keys, dump.ticks, strict=True))
        self._reasons = {keys[place]: reason for place, reason in dump.reasons.items()}


def _key(command_id: str) -> bytes:
    return xxhash.xxh3_128_digest(command_id.encode())
