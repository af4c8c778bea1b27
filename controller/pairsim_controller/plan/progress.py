"""Whether a replica makes progress, and how often a replica that made none was replaced; does no I/O.

A replica may run, answer and yet be useless: its state stream is blocked, or one of its threads hangs. Its statuses
show it over time: the tick of its state stays, and it receives nothing of what it lacks. Times are seconds of one
monotonic clock.
"""

from __future__ import annotations

from pairsim.model.status import ReplicaStatus

STALLED_AFTER_SECONDS = 60.0
"""Seconds without progress after which a replica is replaced, if its active worked all the time."""

LONGEST_PAUSE_SECONDS = 3600.0
"""The longest pause between two such replacements in one area."""

_HICCUP_SECONDS = 10.0
"""The longest pause between two ticks of an active that works. An area with fewer than one tick in this time is never
judged."""

_Life = tuple[float, int, str]


class ProgressTracker:
    """The progress of one replica in one area, as its consecutive statuses show it."""

    def __init__(self) -> None:
        self._life: _Life | None = None
        self._leader: str | None = None
        self._tick = self._synced = self._received = 0
        self._progress_at = self._working_since = 0.0

    def restart(self) -> None:
        """Forgets everything: the process has another task from now on."""
        self._life = None

    def observe(self, status: ReplicaStatus, now: float) -> None:
        """Takes in a status.

        Progress is a newer state, or more bytes of what the replica lacks than it ever had received since its state
        was new: a transfer that is cut and repeated again and again does not count. Another active starts the transfer
        anew, so it starts the time anew as well.
        """
        life = (status.started_at, status.pid, status.area)
        if life != self._life or status.tick < self._tick:
            self._life, self._leader = life, status.leader
            self._progress_at = self._working_since = now
            self._synced, self._received = status.synced_tick, status.received_bytes
        elif status.synced_tick > self._synced or status.received_bytes > self._received:
            if now - self._progress_at > _HICCUP_SECONDS:
                self._working_since = now
            self._progress_at = now
            self._synced, self._received = max(self._synced, status.synced_tick), status.received_bytes
            self._leader = status.leader or self._leader
        elif status.leader is not None and status.leader != self._leader:
            self._leader, self._progress_at, self._received = status.leader, now, 0
        self._tick = status.tick

    def stalled_seconds(self, now: float) -> float:
        """Returns the seconds since the last progress; 0 before the first status."""
        return now - self._progress_at if self._life is not None else 0.0

    def working_seconds(self, now: float) -> float:
        """Returns for how long the replica has made progress without a pause; 0 while it makes none."""
        if self._life is None or now - self._progress_at > _HICCUP_SECONDS:
            return 0.0
        return now - self._working_since


class ReplacementPause:
    """The growing pause between two replacements in one area, if the replaced replicas ran and made no progress.

    If the successors make no progress either, the cause is somewhere else: each pause is twice as long as the one
    before. An area that needed no such replacement for twice its pause starts again with the first pause. A controller
    that takes over the work does not know earlier replacements.
    """

    def __init__(self) -> None:
        self._seconds = self._at = 0.0

    def on_replacement(self, now: float) -> None:
        """Notes a replacement."""
        again = self._seconds > 0.0 and now - self._at <= 2 * self._seconds
        self._seconds = min(2 * (self._seconds if again else STALLED_AFTER_SECONDS), LONGEST_PAUSE_SECONDS)
        self._at = now

    def remaining(self, now: float) -> float:
        """Returns the seconds until the next replacement may follow; 0 if it may follow at once."""
        return max(0.0, self._at + self._seconds - now) if self._seconds else 0.0
