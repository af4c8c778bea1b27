"""The digest of a state, by which two replicas find out whether their states are equal bit for bit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash


class RunningDigest:
    """The digest of a state whose bytes come in pieces; how they are cut makes no difference."""

    def __init__(self, count: int) -> None:
        """Begins with the number of rows."""
        self._state = xxhash.xxh3_64(count.to_bytes(8, "little"))

    def update(self, piece: npt.NDArray[np.uint8]) -> None:
        """Adds the bytes that follow."""
        self._state.update(piece.data)

    @property
    def value(self) -> int:
        """The digest of all bytes so far."""
        return self._state.intdigest()


def digest_arrays(count: int, arrays: Iterable[npt.NDArray[np.generic]]) -> int:
    """Returns the xxh3 hash (64 bit) of the number of rows and the bytes of C-contiguous arrays, in order."""
    digest = RunningDigest(count)
    for array in arrays:
        if array.size:
            digest.update(array.view(np.uint8).reshape(-1))
    return digest.value


def combined_digest(first: int, second: int) -> int:
    """Returns the digest of a state of two parts that have digests of their own."""
    return xxhash.xxh3_64_intdigest(first.to_bytes(8, "little") + second.to_bytes(8, "little"))


def hex16(digest: int) -> str:
    """Returns a digest as 16 hex digits, as it is shown to users."""
    return f"{digest:016x}"
