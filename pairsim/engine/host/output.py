"""The output of an engine: lines with time stamps in a log that stays short.

An engine may print more than the node can stamp and a disk can hold. So much of each second is kept; the rest is read,
counted and dropped, and never keeps the engine from printing.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pairsim.system.bounded_log import BoundedLog

ENGINE_LOG = "engine.log"
"""The file in the data folder of a process to which its engine's output goes."""

MAX_BYTES_PER_SECOND = 2**20
_MAX_LINE_BYTES = 16 * 2**10
_READ_BYTES = 2**18
_CUT_EVERY_BYTES = 2**20
_PARTIAL_LINE_SECONDS = 0.5
"""How long the begin of a line waits for its end before it is written."""

_IDLE_SECONDS = 2.0


class LineStamper:
    """Cuts output into lines and puts the time before each. Pure: the time is an argument."""

    def __init__(self, rate: int = MAX_BYTES_PER_SECOND) -> None:
        """`rate` is the most bytes that are kept of a second."""
        self._rate = rate
        self._partial = b""
        self._second = self._kept = self._dropped = 0

    @property
    def is_waiting(self) -> bool:
        """Whether `flush` has something to write, now or in the next second."""
        return bool(self._partial or self._dropped)

    def add(self, data: bytes, now: float) -> bytes:
        """Returns the lines that `data` completes; `now` is in seconds since 1970."""
        reported = self._begin_second(now)
        room = self._rate - self._kept
        if len(data) > room:
            self._dropped += len(data) - room
            data = data[:room]
        self._kept += len(data)
        *lines, partial = (self._partial + data).split(b"\n")
        self._partial = partial if len(partial) < _MAX_LINE_BYTES else b""
        if partial and not self._partial:
            lines.append(partial)
        return reported + _stamped(lines, now)

    def flush(self, now: float, *, last: bool = False) -> bytes:
        """Returns the begin of a line, and the report of what was dropped before this second; with `last`, of all."""
        partial, self._partial = self._partial, b""
        return _stamped([partial] if partial else [], now) + self._begin_second(now, last=last)

    def _begin_second(self, now: float, *, last: bool = False) -> bytes:
        if int(now) == self._second and not last:
            return b""
        dropped, self._dropped, self._kept, self._second = self._dropped, 0, 0, int(now)
        if not dropped:
            return b""
        text = f"[{dropped:,} bytes of output were dropped: more than {self._rate:,} came in a second]"
        return _stamped([text.encode()], now)


class EngineLog:
    """The log file of the engines of one replica; a failure to write has no effect."""

    def __init__(self, path: Path) -> None:
        """Takes the path; the file of the lines before has `.1` behind its name."""
        self._log = BoundedLog(path)
        self._since_cut = 0

    def write(self, data: bytes) -> None:
        """Appends lines, and cuts the log if it is long."""
        if not data:
            return
        with contextlib.suppress(OSError):
            with self._log.open() as file:
                file.write(data)
            self._since_cut += len(data)
            if self._since_cut >= _CUT_EVERY_BYTES:
                self._since_cut = 0
                if self._log.is_long():
                    self._log.cut()


def copy_output(fd: int, write: Callable[[bytes], None], ended: Callable[[], bool]) -> None:
    """Copies an engine's output until it ends, and closes the descriptor.

    Args:
        fd: The read end of the pipe.
        write: Receives lines with time stamps.
        ended: Returns whether the engine has ended; a process that it left behind may keep the pipe open.
    """
    stamper = LineStamper()
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    os.set_blocking(fd, False)
    try:
        while True:
            over = ended()
            wait = 0.0 if over else _PARTIAL_LINE_SECONDS if stamper.is_waiting else _IDLE_SECONDS
            if not poll.poll(wait * 1e3):
                write(stamper.flush(time.time()))
                if over:
                    return
                continue
            data = os.read(fd, _READ_BYTES)
            write(stamper.add(data, time.time()))
            if not data:
                return
    finally:
        write(stamper.flush(time.time(), last=True))
        os.close(fd)


def _stamped(lines: list[bytes], now: float) -> bytes:
    if not lines:
        return b""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode()
    return b"".join(stamp + line + b"\n" for line in lines)
