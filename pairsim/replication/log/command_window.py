"""The ids of an area's newest commands, which make a command idempotent across takeovers.

The window keeps 128-bit hashes of ids, so that a long id costs as little as a short one: about 125 bytes each, 16 MB
when the window is full, and in addition the reasons of rejected commands. Ids are evicted strictly in the order of
their insertion, so that every replica forgets the same ids at the same tick.
"""

from __future__ import annotations

import collections

import msgspec
import xxhash

MAX_IDS = 131_072
"""How many ids an area remembers; a command with an older id may run again."""

MAX_REASON_CHARACTERS = 256
"""How many characters of a reason are kept."""

_KEY_BYTES = 16


class KnownCommand(msgspec.Struct, frozen=True, array_like=True):
    """A command that ran: its tick, and the reason of its rejection (empty if it was applied)."""

    tick: int
    reason: str = ""


class WindowError(ValueError):
    """The bytes are not a dump of a window."""


class _PackedWindow(msgspec.Struct, frozen=True, array_like=True):
    """A window in a snapshot: the joined hashes, oldest first; their ticks; and the reasons by hash."""

    ids: bytes
    ticks: list[int]
    reasons: list[tuple[bytes, str]]


class CommandWindow:
    """The newest `limit` command ids of an area."""

    def __init__(self, limit: int = MAX_IDS) -> None:
        self._limit = limit
        self._ticks: dict[bytes, int] = {}
        self._order: collections.deque[bytes] = collections.deque()  # to find the oldest key of a dict is slow
        self._reasons: dict[bytes, str] = {}

    def __len__(self) -> int:
        return len(self._ticks)

    def add(self, command_id: str, tick: int) -> None:
        """Records that a command runs in a tick; an id that is known keeps its first tick."""
        key = _key(command_id)
        if key in self._ticks:
            return
        self._ticks[key] = tick
        self._order.append(key)
        if len(self._ticks) > self._limit:
            self._evict()

    def reject(self, command_id: str, reason: str) -> None:
        """Records that a command was rejected; does nothing if the id is not known."""
        key = _key(command_id)
        if key in self._ticks:
            self._reasons[key] = reason[:MAX_REASON_CHARACTERS]

    def get(self, command_id: str) -> KnownCommand | None:
        """Returns the tick and the rejection of a command; None if its id is not known."""
        key = _key(command_id)
        tick = self._ticks.get(key)
        return None if tick is None else KnownCommand(tick, self._reasons.get(key, ""))

    def dump(self) -> bytes:
        """Returns the whole window for a snapshot; equal windows return equal bytes."""
        return _encode(_PackedWindow(b"".join(self._order), list(self._ticks.values()), sorted(self._reasons.items())))

    def load(self, data: bytes) -> None:
        """Replaces the content by a dump; of the dump of a larger window, the newest ids are kept.

        Raises:
            WindowError: The bytes are not a dump; this window is unchanged.
        """
        try:
            dump = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WindowError(f"not a window of commands: {error}") from error
        keys = [dump.ids[at : at + _KEY_BYTES] for at in range(0, len(dump.ids), _KEY_BYTES)]
        ticks, reasons = dict(zip(keys, dump.ticks, strict=False)), dict(dump.reasons)
        if (
            len(dump.ids) != _KEY_BYTES * len(dump.ticks)
            or len(ticks) != len(keys)
            or not reasons.keys() <= ticks.keys()
        ):
            raise WindowError("not a window of commands: its ids, ticks and reasons do not belong together")
        self._ticks, self._order, self._reasons = ticks, collections.deque(keys), reasons
        while len(self._ticks) > self._limit:
            self._evict()

    def _evict(self) -> None:
        oldest = self._order.popleft()
        del self._ticks[oldest]
        self._reasons.pop(oldest, None)


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_PackedWindow)


def _key(command_id: str) -> bytes:
    return xxhash.xxh3_128_digest(command_id.encode())
