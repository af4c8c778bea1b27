"""A lock that lets only one run at a time attack a local world.

Two runs would judge each other's faults, and remove each other's leftovers.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from pairsim_chaos.target import WorldError


class RunLock:
    """The lock of the world at one port of this machine; the kernel releases it when the process ends."""

    def __init__(self, port: int) -> None:
        """Takes the lock.

        Raises:
            WorldError: Another run holds the lock, or the lock file cannot be opened.
        """
        folder = Path("/run") if os.geteuid() == 0 else Path(tempfile.gettempdir())
        path = folder / f"pairsim-chaos-{os.geteuid()}-{port}.lock"
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise WorldError(f"cannot lock {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise WorldError(f"another `pairsim-chaos` attacks the world at port {port}: wait for its end") from None

    def close(self) -> None:
        """Releases the lock."""
        os.close(self._file)
