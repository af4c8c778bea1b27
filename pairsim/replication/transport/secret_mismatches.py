"""The peers that do not share this process's secret, as far as the failures of handshakes show it.

A failed handshake proves little: its sender is not authenticated, and a listener under attack ends honest handshakes as
well. So a peer counts only after `MIN_FAILURES` failures without a success, for as long as they go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from pairsim.replication.clock import monotonic

log = structlog.get_logger()

MIN_FAILURES = 3
"""Failures without a success that are not a coincidence any more."""

TTL_SECONDS = 5.0
"""Seconds after which a failure counts no more; a peer is dialled again after less than one."""


class SecretMismatches:
    """The failures at the proof of the secret, by area and peer. Any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """`clock` returns seconds that never go back."""
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str], tuple[int, float]] = {}

    def on_failure(self, area: str, peer: str) -> None:
        """Notes a handshake that failed at the proof; logs a peer once, when it begins to count."""
        with self._lock:
            count, at = self._failures.get((area, peer), (0, 0.0))
            now = self._clock()
            count = count + 1 if now - at < TTL_SECONDS else 1
            self._failures[area, peer] = count, now
        if count == MIN_FAILURES:
            log.warning("a peer has another secret: no link to it is possible", area=area, peer=peer)

    def on_success(self, area: str, peer: str) -> None:
        """Forgets the failures of a peer whose proof was accepted."""
        with self._lock:
            self._failures.pop((area, peer), None)

    def peers(self, area: str) -> frozenset[str]:
        """Returns the peers in an area that have another secret."""
        now = self._clock()
        with self._lock:
            return frozenset(
                peer
                for (where, peer), (count, at) in self._failures.items()
                if where == area and count >= MIN_FAILURES and now - at < TTL_SECONDS
            )


def mismatch_message(peers: frozenset[str]) -> str:
    """Returns a sentence about peers with another secret; empty without such a peer."""
    if not peers:
        return ""
    return f"{' and '.join(sorted(peers))} {'has' if len(peers) == 1 else 'have'} another secret"
