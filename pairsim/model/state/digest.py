"""A state's digest: what two replicas compare to know that they are bit for bit the same."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import xxhash


def digest_arrays(count: int, arrays: Iterable[npt.NDArray[np.generic]]) -> int:
    """xxh3 (64 bit) over the number of rows and the bytes of C-contiguous arrays, in order."""
    state = xxhash.xxh3_64(count.to_bytes(8, "little"))
    for array in arrays:
        if array.size:
            state.update(array.view(np.uint8).reshape(-1).data)
    return state.intdigest()


def hex16(digest: int) -> str:
    """As it is shown: 16 hex digits."""
    return f"{digest:016x}"
