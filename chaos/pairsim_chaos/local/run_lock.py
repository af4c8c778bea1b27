"""One run at a time hurts a local world: two would judge each other's faults, and take each other's left-overs away."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

from pairsim_chaos.target import WorldError


class Lock:
    """Of the world at a port of this machine. It goes with its process, however that ends."""

    def __init__(self, port: int) -> None:
        """Takes it.

        Raises:
            WorldError: Another run has it.
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
            raise WorldError(f"another `pairsim-chaos` hurts the world at port {port}: wait for its end") from None

    def close(self) -> None:
        """Gives it back."""
        os.close(self._file)
