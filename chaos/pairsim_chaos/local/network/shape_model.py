"""A model of a bad link that decides the fate of each packet; sans-I/O, with the semantics of tc-netem(8).

Random numbers are between 0 and 1; with a correlation, each depends on the one before, as in netem. Delays are uniform
within the jitter, so packets may overtake each other, as in netem.
"""

from __future__ import annotations

import random

import msgspec


class Shape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The properties of a bad link.

    Attributes:
        latency, jitter: The delay and its variation, in seconds.
        loss, duplicate, corrupt: The shares of affected packets, from 0 to 1.
        correlation: The correlation of successive random numbers, from 0 to 1.
        rate: The bandwidth in bytes per second; 0 for no limit.
        limit: How many bytes may wait for the rate; packets beyond it are dropped.
    """

    latency: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    correlation: float = 0.0
    rate: float = 0.0
    limit: int = 0


class PacketFate(msgspec.Struct, frozen=True):
    """The fate of one packet.

    Attributes:
        release: When the packet passes, in seconds of the caller's clock; None if the packet is dropped.
        twice: Whether a copy of the packet passes as well.
        corrupt: Whether one bit of the packet is changed.
    """

    release: float | None
    twice: bool = False
    corrupt: bool = False


class Shaper:
    """A link with a shape, which decides the fate of its packets in order."""

    def __init__(self, shape: Shape, rng: random.Random) -> None:
        """Creates a link that no packet has passed yet."""
        self._shape, self._random = shape, rng
        self._last: dict[str, float] = {}
        self._busy_until = 0.0

    def fate(self, now: float, size: int) -> PacketFate:
        """Returns the fate of the next packet, which has `size` bytes."""
        shape = self._shape
        if self._happens("loss", shape.loss):
            return PacketFate(None)
        release = now + shape.latency
        if shape.jitter:
            release += shape.jitter * (2 * self._chance("jitter") - 1)
        if shape.rate:
            begin = max(now, self._busy_until)
            if (begin - now) * shape.rate + size > shape.limit:
                return PacketFate(None)
            self._busy_until = begin + size / shape.rate
            release += self._busy_until - now
        return PacketFate(
            max(now, release),
            twice=self._happens("duplicate", shape.duplicate),
            corrupt=self._happens("corrupt", shape.corrupt),
        )

    def _happens(self, purpose: str, share: float) -> bool:
        return share > 0 and self._chance(purpose) < share

    def _chance(self, purpose: str) -> float:
        fresh, rho = self._random.random(), self._shape.correlation
        chance = fresh if purpose not in self._last else (1 - rho) * fresh + rho * self._last[purpose]
        self._last[purpose] = chance
        return chance


def flip_bit(packet: bytes, rng: random.Random) -> bytes:
    """Returns the packet with one random bit changed behind the IPv4 header; a changed header would stop delivery."""
    start = 4 * (packet[0] & 0x0F)
    if len(packet) <= start:
        return packet
    index = rng.randrange(start, len(packet))
    return packet[:index] + bytes([packet[index] ^ (1 << rng.randrange(8))]) + packet[index + 1 :]
