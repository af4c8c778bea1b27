"""Deterministic random numbers: the same on every replica, whatever ran before."""

from __future__ import annotations

import numpy as np
import xxhash


def random_stream(seed: int, area: str, tick: int) -> np.random.Generator:
    """Returns the random stream of one tick of one area.

    Philox 4x64 is a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). The
    key is made of the world's seed and the area, and the counter starts at the tick, so that a tick does not depend on
    the stream of any other tick.
    """
    key = xxhash.xxh3_128_intdigest(f"{seed}/{area}".encode())
    return np.random.Generator(np.random.Philox(key=key, counter=tick << 128))
