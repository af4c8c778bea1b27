"""What becomes of a packet on a bad link; sans-I/O, and of the same meaning as tc-netem(8).

Chance is a number from 0 to 1; with a correlation it leans on the one before, as netem's does. Delays are uniform
within the jitter; packets overtake each other then, as they do in netem.
"""

from __future__ import annotations

import random

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A bad link.

    Attributes:
        latency, jitter: Seconds.
        loss, duplicate, corrupt: Shares of the packets, 0 to 1.
        correlation: Of whatever is random, 0 to 1.
        rate: Bytes a second; 0 for no limit.
        limit: Bytes that may wait for the rate; more are dropped.
    """

    latency: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    correlation: float = 0.0
    rate: float = 0.0
    limit: int = 0


class Fate(msgspec.Struct, frozen=True):
    """Of one packet.

    Attributes:
        release: When it goes on, in seconds of the clock that was passed; None if it is dropped.
        twice: Whether it goes on a second time.
        corrupt: Whether a bit of it is changed.
    """

    release: float | None
    twice: bool = False
    corrupt: bool = False


class Shaper:
    """A link with a shape."""

    def __init__(self, shape: Shape, rng: random.Random) -> None:
        """Nothing has passed yet."""
        self._shape, self._random = shape, rng
        self._last: dict[str, float] = {}
        self._busy_until = 0.0

    def fate(self, now: float, size: int) -> Fate:
        """Of the next packet, of so many bytes."""
        shape = self._shape
        if self._happens("loss", shape.loss):
            return Fate(None)
        release = now + shape.latency
        if shape.jitter:
            release += shape.jitter * (2 * self._chance("jitter") - 1)
        if shape.rate:
            begin = max(now, self._busy_until)
            if (begin - now) * shape.rate + size > shape.limit:
                return Fate(None)
            self._busy_until = begin + size / shape.rate
            release += self._busy_until - now
        return Fate(
            max(now, release),
            twice=self._happens("duplicate", shape.duplicate),
            corrupt=self._happens("corrupt", shape.corrupt),
        )

    def _happens(self, what: str, share: float) -> bool:
        return share > 0 and self._chance(what) < share

    def _chance(self, what: str) -> float:
        fresh, rho = self._random.random(), self._shape.correlation
        chance = fresh if what not in self._last else (1 - rho) * fresh + rho * self._last[what]
        self._last[what] = chance
        return chance


def flipped(packet: bytes, rng: random.Random) -> bytes:
    """With one bit changed, anywhere behind the header of IPv4: that is left, or it would go nowhere."""
    start = 4 * (packet[0] & 0x0F)
    if len(packet) <= start:
        return packet
    place = rng.randrange(start, len(packet))
    return packet[:place] + bytes([packet[place] ^ (1 << rng.randrange(8))]) + packet[place + 1 :]
