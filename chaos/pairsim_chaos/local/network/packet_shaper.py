"""A process that degrades the links of one network namespace: `python -m (this module) QUEUE SHAPE SECONDS`.

The process prints `ready` once it receives packets. It ends at a signal, and after SECONDS at the latest, even if its
parent is gone. Copies of packets carry a mark that the rules of iptables exempt.
"""

from __future__ import annotations

import argparse
import heapq
import random
import select
import signal
import socket
import sys
import time

import msgspec

from pairsim_chaos.local.network.nfqueue import PacketQueue
from pairsim_chaos.local.network.shape_model import Shape, Shaper, flip_bit

MARK = 0x5053
_SO_MARK = 36
_MAX_WAIT_SECONDS = 0.5


def main(queue_number: int, shape: Shape, seconds: float) -> None:
    """Shapes packets until a signal arrives or the time is over; then all waiting packets are released."""
    rng = random.Random()  # noqa: S311 - random packet loss needs no secrecy
    shaper, queue, delayed = Shaper(shape, rng), PacketQueue(queue_number), DelayedPackets(rng)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    end = time.monotonic() + seconds
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        while (now := time.monotonic()) < end:
            delayed.release(queue, now)
            select.select([queue], [], [], min(_MAX_WAIT_SECONDS, delayed.next_wait(time.monotonic())))
            now = time.monotonic()
            for packet in queue.packets():
                fate = shaper.fate(now, len(packet.payload))
                if fate.release is None:
                    queue.drop(packet.number)
                else:
                    delayed.add(fate.release, packet.number, packet.payload, twice=fate.twice, corrupt=fate.corrupt)
    finally:
        delayed.release(queue, float("inf"))
        queue.close()


class DelayedPackets:
    """Packets that pass later; the kernel holds them and bounds their number."""

    def __init__(self, rng: random.Random) -> None:
        """Creates an empty heap; `rng` chooses the bits of corrupted packets."""
        self._random = rng
        self._heap: list[tuple[float, int, bytes | None, bytes | None]] = []
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
        self._raw.setsockopt(socket.SOL_SOCKET, _SO_MARK, MARK)

    def add(self, at: float, number: int, payload: bytes, *, twice: bool, corrupt: bool) -> None:
        """Adds a packet that passes at a time of the monotonic clock, in seconds."""
        changed = flip_bit(payload, self._random) if corrupt else None
        heapq.heappush(self._heap, (at, number, changed, (changed or payload) if twice else None))

    def next_wait(self, now: float) -> float:
        """Returns the seconds until the next packet passes."""
        return max(0.0, self._heap[0][0] - now) if self._heap else _MAX_WAIT_SECONDS

    def release(self, queue: PacketQueue, now: float) -> None:
        """Lets all packets pass that are due, and sends the copies of duplicated ones."""
        while self._heap and self._heap[0][0] <= now:
            _, number, changed, copy = heapq.heappop(self._heap)
            queue.accept(number, changed)
            if copy is not None:
                self._raw.sendto(copy, (socket.inet_ntoa(copy[16:20]), 0))


def _parse_shape(text: str) -> Shape:
    return msgspec.json.decode(text, type=Shape)


if __name__ == "__main__":
    _parser = argparse.ArgumentParser(description="Degrades the links of this network namespace.")
    _parser.add_argument("queue", type=int, help="number of the queue that receives the packets")
    _parser.add_argument("shape", type=_parse_shape, help="the shape of the links as JSON")
    _parser.add_argument("seconds", type=float, help="the longest time that the links stay so")
    _given = _parser.parse_args()
    main(_given.queue, _given.shape, _given.seconds)
