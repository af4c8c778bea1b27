"""Random numbers that are part of the state: the same on every replica, whatever ran before."""

from __future__ import annotations

import numpy as np
import xxhash


def stream(seed: int, area: str, tick: int) -> np.random.Generator:
    """The stream of one tick of one area.

    Philox 4x64 is counter-based (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): the key is
    the world's seed and the area, the counter starts at the tick, so no tick needs the one before.
    """
    key = xxhash.xxh3_128_intdigest(f"{seed}/{area}".encode())
    return np.random.Generator(np.random.Philox(key=key, counter=tick << 128))
