from __future__ import annotations

import itertools
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairsim.model.geometry import Box

# A lattice this small makes touching, nested and equal boxes common, and its points can all be looked at.
axis = st.lists(st.integers(0, 5), min_size=2, max_size=2, unique=True).map(sorted)
boxes = st.tuples(axis, axis, axis).map(lambda axes: Box(*(tuple(map(float, c)) for c in zip(*axes, strict=True))))


def unit_cubes(box: Box) -> set[tuple[int, ...]]:
    """What a box of whole metres holds."""
    spans = (range(int(low), int(high)) for low, high in zip(box.min, box.max, strict=True))
    return set(itertools.product(*spans))


@given(boxes, boxes)
def test_boxes_overlap_and_contain_as_their_points_do(one: Box, other: Box) -> None:
    assert one.overlaps(other) == bool(unit_cubes(one) & unit_cubes(other)) == other.overlaps(one)
    assert one.contains(other) == (unit_cubes(other) <= unit_cubes(one))


def test_touching_edges_do_not_overlap_and_may_be_contained() -> None:
    west, east, both = Box((0, 0, 0), (5, 1, 1)), Box((5, 0, 0), (10, 1, 1)), Box((0, 0, 0), (10, 1, 1))
    assert not west.overlaps(east)
    assert both.contains(west)
    assert both.contains(both)
    assert not west.contains(both)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ((0, 0, 0), (1, 0, 1), "less than"),
        ((0, 0, 2), (1, 1, 1), "less than"),
        ((math.nan, 0, 0), (1, 1, 1), "finite"),
        ((-math.inf, 0, 0), (1, 1, 1), "finite"),
    ],
)
def test_a_box_without_a_volume_is_refused(low: tuple[float, ...], high: tuple[float, ...], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert({"min": low, "max": high}, Box)


@given(st.integers(1, 40))
def test_parts_of_a_box_have_one_size_fill_it_and_do_not_overlap(parts: int) -> None:
    whole = Box((-10, 0, 5), (290, 100, 55))
    made = whole.split(parts)
    volumes = [math.prod(b - a for a, b in zip(box.min, box.max, strict=True)) for box in made]
    assert len(made) == parts
    assert all(math.isclose(volume, 300 * 100 * 50 / parts, rel_tol=1e-9) for volume in volumes)
    assert all(whole.contains(box) for box in made)
    assert not any(one.overlaps(other) for place, one in enumerate(made) for other in made[:place])
