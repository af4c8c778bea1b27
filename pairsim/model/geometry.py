"""Axis-aligned boxes: the world, its areas and areas of interest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations

import msgspec

Point = tuple[float, float, float]


class Box(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A half-open axis-aligned box in metres: `min <= p < max` on every axis."""

    min: Point
    max: Point

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (*self.min, *self.max)):
            raise ValueError("bounds must be finite numbers")
        if not all(low < high for low, high in zip(self.min, self.max, strict=True)):
            raise ValueError("bounds.min must be less than bounds.max on every axis")

    def holds(self, point: Point) -> bool:
        """Returns whether a point is in the box; a point that is not a number is not."""
        return all(low <= p < high for low, p, high in zip(self.min, point, self.max, strict=True))

    def contains(self, other: Box) -> bool:
        """Returns whether the other box lies within this one (edges may touch)."""
        return all(a <= b for a, b in zip(self.min, other.min, strict=True)) and all(
            a >= b for a, b in zip(self.max, other.max, strict=True)
        )

    def split(self, parts: int) -> tuple[Box, ...]:
        """Returns boxes of one size that fill this box, split across the longest axis recursively, as in a k-d tree.

        Args:
            parts: The number of boxes, at least one.
        """
        if parts == 1:
            return (self,)
        axis = max(range(3), key=lambda i: (self.max[i] - self.min[i], -i))
        low, high = self.min[axis], self.max[axis]
        middle = low + (high - low) * (parts // 2) / parts
        first = Box(self.min, _with(self.max, axis, middle))
        second = Box(_with(self.min, axis, middle), self.max)
        return first.split(parts // 2) + second.split(parts - parts // 2)

    def overlaps(self, other: Box) -> bool:
        """Returns whether the boxes share a volume (touching edges do not count)."""
        return all(a < b for a, b in zip(self.min, other.max, strict=True)) and all(
            a < b for a, b in zip(other.min, self.max, strict=True)
        )


def overlapping_pair(boxes: Sequence[Box]) -> tuple[int, int] | None:
    """Returns the indices of two boxes that share a volume, the lower one first; None if no boxes do.

    Boxes on two sides of a plane cannot overlap, so they are divided by planes for as long as there are any. A thousand
    cells of a k-d tree take some milliseconds; boxes that no plane divides are compared with each other.
    """
    groups = [list(range(len(boxes)))]
    while groups:
        group = groups.pop()
        parts = next((parts for axis in range(3) if len(parts := _divided(boxes, group, axis)) > 1), None)
        if parts is not None:
            groups += parts
            continue
        for first, second in combinations(sorted(group), 2):
            if boxes[first].overlaps(boxes[second]):
                return first, second
    return None


def _divided(boxes: Sequence[Box], group: Iterable[int], axis: int) -> list[list[int]]:
    """Returns a group of boxes in parts, between which there are planes across the axis."""
    parts: list[list[int]] = []
    reached = -math.inf
    for index in sorted(group, key=lambda index: boxes[index].min[axis]):
        if boxes[index].min[axis] >= reached:
            parts.append([])
        parts[-1].append(index)
        reached = max(reached, boxes[index].max[axis])
    return parts


def _with(point: Point, axis: int, value: float) -> Point:
    """Returns the point with one coordinate replaced."""
    x, y, z = (value if i == axis else v for i, v in enumerate(point))
    return x, y, z
