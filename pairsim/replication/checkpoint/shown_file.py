"""The file with the number of the newest tick that a replica has shown.

It is mapped into memory, so that writing it costs no system call and survives the end of the process, as the journal
does. The kernel writes it to the disk when it likes: a machine that loses its power may lose the newest number. The
file is written once before it is mapped: a disk that is full says so then, in an error, and not later by SIGBUS.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path

FILE = "shown-tick"

_BYTES = 8


class ShownTickFile:
    """One number in one file; stored at once as a whole."""

    def __init__(self, folder: Path) -> None:
        """Opens the file, or creates it with 0. Raises OSError."""
        fd = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(fd).st_size < _BYTES:
                os.pwrite(fd, bytes(_BYTES), 0)
            self._memory = mmap.mmap(fd, _BYTES)
        finally:
            os.close(fd)
        self._number = memoryview(self._memory).cast("Q")

    @property
    def tick(self) -> int:
        """The number."""
        return self._number[0]

    @tick.setter
    def tick(self, tick: int) -> None:
        self._number[0] = tick

    def flush(self) -> None:
        """Writes the number to the disk as far as that is possible."""
        with contextlib.suppress(OSError):
            self._memory.flush()
