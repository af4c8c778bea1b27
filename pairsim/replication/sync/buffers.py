"""Buffers for columns, which are used again and again.

Fresh memory pages cost more than the work on them. So a buffer is borrowed from a pool, and returns to the pool when
the last reference to the borrowed part is dropped.
"""

from __future__ import annotations

import collections

import numpy as np
import numpy.typing as npt

_SLACK_BYTES = 4096

ByteColumn = npt.NDArray[np.uint8]
"""The bytes of a column, one-dimensional."""


class BufferPool:
    """Buffers for reuse. Any thread may use it; no lock."""

    def __init__(self, limit: int = 32) -> None:
        """Keeps at most `limit` free buffers."""
        self._free: collections.deque[ByteColumn] = collections.deque(maxlen=limit)

    def acquire(self, size: int) -> ByteColumn:
        """Returns a buffer of at least `size` bytes, and not of many times as much: it may be held for long."""
        for _buffer in range(len(self._free)):
            try:
                buffer = self._free.popleft()
            except IndexError:  # other threads took the rest
                break
            if size <= buffer.nbytes <= 2 * size + _SLACK_BYTES:
                return buffer
            self._free.append(buffer)
        return np.empty(max(size + size // 8, 64), np.uint8)

    def release(self, buffer: ByteColumn) -> None:
        """Returns a buffer to the pool."""
        self._free.append(buffer)


class BorrowedBuffer:
    """A part of a pooled buffer; the buffer returns to the pool when the last reference to this object is dropped.

    Attributes:
        data: The part.
    """

    def __init__(self, pool: BufferPool, size: int) -> None:
        """Borrows `size` bytes, whose content is undefined."""
        self._pool, self._buffer = pool, pool.acquire(size)
        self.data = self._buffer[:size]

    def __del__(self) -> None:
        self._pool.release(self._buffer)


def xor_columns(pool: BufferPool, now: ByteColumn, before: ByteColumn) -> BorrowedBuffer:
    """Returns `now` XOR `before`, where `before` is truncated or padded with zeros to the length of `now`."""
    difference, common = BorrowedBuffer(pool, now.nbytes), min(now.nbytes, before.nbytes)
    np.bitwise_xor(now[:common], before[:common], out=difference.data[:common])
    np.copyto(difference.data[common:], now[common:])
    return difference


def bytes_of(array: npt.NDArray[np.generic]) -> ByteColumn:
    """Returns the bytes of a C-contiguous array; a view."""
    return array.view(np.uint8).reshape(-1)
