"""A process that makes the link of one network namespace bad: `python -m (this module) QUEUE SHAPE SECONDS`.

It prints `ready` when packets wait for it, and ends by a signal, or after SECONDS, whatever became of whoever started
it. Copies of packets are sent with a mark that the rules of iptables leave alone.
"""

from __future__ import annotations

import heapq
import random
import select
import signal
import socket
import sys
import time

import msgspec

from pairsim_chaos.local.network.nfqueue import Queue
from pairsim_chaos.local.network.shape_model import Shape, Shaper, flipped

MARK = 0x5053
_SO_MARK = 36
_NAP = 0.5


def main(queue_number: int, shape: Shape, seconds: float) -> None:
    """Shapes until a signal comes, or the time is over; then everything that still waits is let go."""
    rng = random.Random()  # noqa: S311 - luck of packets
    shaper, queue, waiting = Shaper(shape, rng), Queue(queue_number), _Waiting(rng)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    end = time.monotonic() + seconds
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        while (now := time.monotonic()) < end:
            waiting.release(queue, now)
            select.select([queue], [], [], min(_NAP, waiting.pause(time.monotonic())))
            now = time.monotonic()
            for packet in queue.packets():
                fate = shaper.fate(now, len(packet.payload))
                if fate.release is None:
                    queue.drop(packet.number)
                else:
                    waiting.add(fate.release, packet.number, packet.payload, twice=fate.twice, corrupt=fate.corrupt)
    finally:
        waiting.release(queue, float("inf"))
        queue.close()


class _Waiting:
    """Packets that go on later; the kernel holds them, and bounds how many there are."""

    def __init__(self, rng: random.Random) -> None:
        self._random = rng
        self._heap: list[tuple[float, int, bytes | None, bytes | None]] = []
        self._raw = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
        self._raw.setsockopt(socket.SOL_SOCKET, _SO_MARK, MARK)

    def add(self, at: float, number: int, payload: bytes, *, twice: bool, corrupt: bool) -> None:
        changed = flipped(payload, self._random) if corrupt else None
        heapq.heappush(self._heap, (at, number, changed, (changed or payload) if twice else None))

    def pause(self, now: float) -> float:
        return max(0.0, self._heap[0][0] - now) if self._heap else _NAP

    def release(self, queue: Queue, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            _, number, changed, copy = heapq.heappop(self._heap)
            queue.accept(number, changed)
            if copy is not None:
                self._raw.sendto(copy, (socket.inet_ntoa(copy[16:20]), 0))


if __name__ == "__main__":
    main(int(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=Shape), float(sys.argv[3]))
