"""Waits of threads that no clock can prolong.

The waits of `threading` and `time.sleep` compute the end of a wait from a clock, and pass that time to the kernel. If
the clock is shifted by ten minutes, a wait of a millisecond lasts ten minutes. The waits here pass a duration to the
kernel (ppoll(2)), so they end in time.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import threading

from pairsim.replication.clock import monotonic

_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.0005, 0.02


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _PollFd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


_ppoll = ctypes.CDLL(None).ppoll
_ppoll.argtypes = (ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p)


def sleep(seconds: float) -> None:
    """Sleeps; a signal may end it early."""
    _poll(None, seconds)


def _poll(fd: int | None, seconds: float | None) -> None:
    """Waits until a file descriptor is readable, for at most `seconds`; None for no limit."""
    readable = _PollFd(-1 if fd is None else fd, select.POLLIN, 0)
    limit = None
    if seconds is not None:
        whole, fraction = divmod(max(seconds, 0.0), 1.0)
        limit = ctypes.byref(_Timespec(int(whole), int(fraction * 1e9)))
    _ppoll(ctypes.byref(readable), 1, limit, None)


class Wakeup:
    """A flag that threads wait for, like `threading.Event`; only one of the waiting threads may clear it."""

    def __init__(self) -> None:
        """Starts unset.

        Raises:
            OSError: The process has no file descriptor left.
        """
        self._set = False
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def __del__(self) -> None:
        """Closes the file descriptor; no thread waits any more."""
        with contextlib.suppress(AttributeError, OSError):  # it could not be opened
            os.close(self._fd)

    def is_set(self) -> bool:
        """Returns whether the flag is set."""
        return self._set

    def set(self) -> None:
        """Sets the flag and wakes all waiting threads."""
        self._set = True
        os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Unsets the flag. A flag that is set at the same moment is still set, or ends the next wait early."""
        self._set = False
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the flag is set, for at most `timeout` seconds; returns whether it is set.

        The wait may end early without the flag, after a signal.
        """
        if not self._set:
            _poll(self._fd, timeout)
        return self._set


class Broadcast:
    """Wakes all threads that wait at the moment; a thread looks again at what it waits for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[Wakeup] = set()

    def notify_all(self) -> None:
        """Wakes the waiting threads."""
        with self._lock:
            for wakeup in self._waiting:
                wakeup.set()

    def wait(self, timeout: float) -> None:
        """Waits for `notify_all`, for at most `timeout` seconds.

        A notification that comes before the call does not count: the caller waits in short pieces.
        """
        try:
            wakeup = Wakeup()
        except OSError:  # no file descriptor is left
            sleep(min(timeout, _LONGEST_LOOK_SECONDS))
            return
        with self._lock:
            self._waiting.add(wakeup)
        wakeup.wait(timeout)
        with self._lock:
            self._waiting.discard(wakeup)


def join(thread: threading.Thread, seconds: float) -> None:
    """Waits for the end of a thread, for at most `seconds`."""
    end, pause = monotonic() + seconds, _FIRST_LOOK_SECONDS
    while thread.is_alive() and (left := end - monotonic()) > 0:
        sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_LOOK_SECONDS)
