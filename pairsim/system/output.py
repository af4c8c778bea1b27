"""The output of a process that runs on whatever happens to the reader of it.

Its lines go to a file, a terminal or a pipe. A disk may be full, a terminal closed or held by Ctrl-S, and the program
at the other end of a pipe may have ended or may not read: none of this may raise in the code that prints, nor hold it
up. A printed line reaches the kernel when it ends, so that a process that is killed has lost nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDOUT, _STDERR = 1, 2
_LINE_BUFFERED = 1
"""`_IOLBF` of `stdio.h`; see setvbuf(3)."""
_MAX_WAIT_MS = 50
"""How long a pipe or terminal may stay full before output is dropped. The next line after that waits no more."""


class OutputDescriptor(io.RawIOBase):
    """A file descriptor that drops output which cannot be written, and reports the loss as soon as it can."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._lost = 0
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def writable(self) -> bool:
        """Returns True: this is an output."""
        return True

    def fileno(self) -> int:
        """Returns the file descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Returns whether the output is a terminal."""
        return os.isatty(self._fd)

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes the data as far as possible, and returns its whole length."""
        content = memoryview(data).cast("B")
        with self._lock:
            if self._lost and self._is_writable():
                report = f"[{self._lost} bytes of output were dropped, since nothing read them]\n"
                self._lost = 0
                self._write_or_drop(memoryview(report.encode()))
            self._write_or_drop(content)
        return len(content)

    def _write_or_drop(self, content: memoryview) -> None:
        while content:
            if not self._is_writable():
                self._lost += len(content)
                return
            try:
                content = content[os.write(self._fd, content[: select.PIPE_BUF]) :]
            except OSError:  # a full disk, or nothing is there any more to read the output
                return

    def _is_writable(self) -> bool:
        """Returns whether `PIPE_BUF` bytes can be written without waiting."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(0 if self._lost else _MAX_WAIT_MS))

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()


def use_reliable_output() -> None:
    """Makes standard output and standard error of this process unable to raise, to wait long, and to lose lines.

    It does nothing to a stream that has been replaced already, or that was closed when the process started.
    """
    for fd, name in ((_STDOUT, "stdout"), (_STDERR, "stderr")):
        stream = getattr(sys, name)
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        with contextlib.suppress(OSError):
            stream.flush()
        reliable = io.TextIOWrapper(
            cast("BinaryIO", OutputDescriptor(fd)), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, reliable)
    # Compiled code prints through the C library, which would keep up to 4 KiB for itself.
    with contextlib.suppress(AttributeError, ValueError):
        library = ctypes.CDLL(None)
        library.setvbuf(ctypes.c_void_p.in_dll(library, "stdout"), None, _LINE_BUFFERED, 0)


def print_line(text: str) -> None:
    """Prints a line to standard output at once; the line is lost if standard output cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)  # noqa: T201 - this is the place where lines are printed
