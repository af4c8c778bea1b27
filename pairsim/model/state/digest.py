"""The digest of a state, by which two replicas find out whether their states are equal bit for bit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash


def digest_arrays(count: int, arrays: Iterable[npt.NDArray[np.generic]]) -> int:
    """Returns the xxh3 hash (64 bit) of the number of rows and the bytes of C-contiguous arrays, in order."""
    state = xxhash.xxh3_64(count.to_bytes(8, "little"))
    for array in arrays:
        if array.size:
            state.update(array.view(np.uint8).reshape(-1).data)
    return state.intdigest()


def hex16(digest: int) -> str:
    """Returns a digest as 16 hex digits, as it is shown to users."""
    return f"{digest:016x}"
