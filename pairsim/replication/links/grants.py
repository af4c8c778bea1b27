"""The grant of authority that waits for a tick of the active.

A grant is an input of a tick like a command, so that a replay sees it at the same tick; only the newest one counts,
since it says everything that an earlier one said.
"""

from __future__ import annotations

import threading

from pairsim.model.authority import Authority


class GrantInbox:
    """The newest authority that was granted. Any thread puts, the replica thread takes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: Authority | None = None

    def put(self, authority: Authority) -> None:
        """Keeps an authority for the next tick, unless a later one waits already."""
        with self._lock:
            if self._newest is None or authority.version > self._newest.version:
                self._newest = authority

    def take(self, version: int) -> tuple[Authority, ...]:
        """Removes the waiting authority, and returns it if it is newer than the version in force."""
        with self._lock:
            newest, self._newest = self._newest, None
        return (newest,) if newest is not None and newest.version > version else ()

    def clear(self) -> None:
        """Drops the waiting authority: this replica is not the active any more."""
        with self._lock:
            self._newest = None
