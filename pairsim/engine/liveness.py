"""The word in shared memory by which a node notices the end of its engine at once.

A thread of the engine owns the word as a robust futex: it holds the thread's number, and the kernel marks it when the
thread ends, in whatever way, and wakes the node that waits for that. This takes 0.2 ms after SIGKILL; the end of a
process's sockets, and its exit, come only when its memory has been released, several milliseconds later.
See Documentation/locking/robust-futex-ABI.rst of the Linux kernel.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import threading
from typing import Final

from pairsim.engine.descriptors import HEADER_BYTES

_WAITERS, _OWNER_DIED, _TID_MASK = 0x8000_0000, 0x4000_0000, 0x3FFF_FFFF
_FUTEX_WAIT = 0
_NUMBERS: Final = {"x86_64": (202, 273), "aarch64": (98, 99), "riscv64": (98, 99)}
"""The numbers of the system calls futex and set_robust_list."""


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _RobustList(ctypes.Structure):
    _fields_ = (("next", ctypes.c_void_p), ("offset", ctypes.c_long), ("pending", ctypes.c_void_p))


class LifeWord:
    """The word, in a mapping of the first page of the shared memory."""

    def __init__(self, fd: int) -> None:
        """Maps the page. Raises OSError."""
        self._map = mmap.mmap(fd, HEADER_BYTES)
        self._word = ctypes.c_uint32.from_buffer(self._map)
        self._futex, self._set_robust_list = _NUMBERS.get(platform.machine(), (0, 0))
        self._list = _RobustList()
        self._entry = ctypes.c_void_p()
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long

    def own(self) -> bool:
        """Makes the calling thread the owner of the word, until the thread ends.

        The thread must not use robust mutexes of the C library besides.

        Returns:
            Whether this machine has robust futexes; without them the node waits for the exit of the process.
        """
        if not self._set_robust_list:
            return False
        self._list.next = ctypes.addressof(self._entry)
        self._list.offset = ctypes.addressof(self._word) - ctypes.addressof(self._entry)
        self._entry.value = ctypes.addressof(self._list)
        size = ctypes.c_size_t(ctypes.sizeof(self._list))
        if self._call(ctypes.c_long(self._set_robust_list), ctypes.byref(self._list), size):
            return False
        self._word.value = threading.get_native_id() | _WAITERS
        return True

    @property
    def owned(self) -> bool:
        """Whether a thread has made itself the owner."""
        return bool(self._futex and self._word.value & _TID_MASK)

    def wait_for_end(self, seconds: float) -> bool:
        """Waits until the owner ends, at most so many seconds, and returns whether it has ended."""
        value = self._word.value
        if value & _OWNER_DIED or not value & _TID_MASK:
            return True
        timeout = _TimeSpec(int(seconds), int(seconds % 1 * 1e9))
        self._call(
            ctypes.c_long(self._futex), ctypes.byref(self._word), ctypes.c_long(_FUTEX_WAIT), ctypes.c_long(value),
            ctypes.byref(timeout), None, ctypes.c_long(0),
        )  # fmt: skip
        return bool(self._word.value & _OWNER_DIED)

    def close(self) -> None:
        """Unmaps the page; not for the owner."""
        del self._word
        self._map.close()
