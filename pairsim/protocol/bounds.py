"""The box of an area of interest, and how a query names it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pairsim.model.geometry import Point

POSITION = "position"
"""The component that areas of interest select by: three numbers in metres."""


class Bounds(msgspec.Struct, frozen=True):
    """A half-open box, `low <= p < high`, in metres; an axis that a query does not name is unbounded."""

    low: Point
    high: Point


def box_query(low: Sequence[float] | None, high: Sequence[float] | None) -> dict[str, str]:
    """Returns the query parameters `min` and `max` of a box.

    Args:
        low: The lower corner in metres, 2 or 3 axes; None leaves `min` out.
        high: The upper corner, likewise.
    """
    corners = {"min": low, "max": high}
    return {name: ",".join(map(repr, map(float, at))) for name, at in corners.items() if at is not None}


def selection_query(
    low: Sequence[float] | None, high: Sequence[float] | None, components: Sequence[str], hz: float | None
) -> dict[str, str]:
    """Returns the query parameters of an observation.

    Args:
        low: The lower corner in metres, 2 or 3 axes; None leaves `min` out.
        high: The upper corner, likewise.
        components: Names of components; all if empty.
        hz: Frames per second at most; None for a frame at every tick.
    """
    query = box_query(low, high)
    if components:
        query["components"] = ",".join(components)
    if hz is not None:
        query["hz"] = repr(float(hz))
    return query
