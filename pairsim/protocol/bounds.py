"""The box of an area of interest; known to servers and clients alike."""

from __future__ import annotations

import msgspec

from pairsim.model.geometry import Point

POSITION = "position"
"""The component that areas of interest select by: three numbers in metres."""


class Bounds(msgspec.Struct, frozen=True):
    """A half-open box, `low <= p < high`; an axis that was not named is unbounded."""

    low: Point
    high: Point
