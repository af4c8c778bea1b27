"""A client finds the area of a position as the areas themselves do, and never goes back to an older map."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.client.errors import RequestRefused
from pairsim.client.world.atlas import Atlas
from pairsim.model.authority import Authority, Cell, PlaneMap, WorldMap
from pairsim.model.borders import AreaMap
from pairsim.model.geometry import Box
from tests.unit.client.fake_areas import cell

EDGES = (-1e300, -10.0, 0.1, 1 / 3, 16_777_217.0, 1e300)
"""Some of which float32 has no number for."""

near = st.sampled_from([v for edge in EDGES for v in (edge, np.nextafter(edge, -np.inf), np.nextafter(edge, np.inf))])
coordinate = st.one_of(near, st.just(float("nan")), st.floats(allow_nan=True))


def slabs() -> tuple[Cell, ...]:
    boxes = [Box((low, -1e300, -5.0), (high, 1e300, 5.0)) for low, high in itertools.pairwise(EDGES)]
    return tuple(Cell(number=n, area=f"a{n}", bounds=box) for n, box in enumerate(boxes, 1))


@settings(deadline=None, max_examples=300)
@given(positions=st.lists(st.tuples(coordinate, coordinate, st.sampled_from([-5.0, 0.0, 5.0])), max_size=8))
def test_the_client_and_the_areas_agree(positions: list[tuple[float, float, float]]) -> None:
    atlas, cells = Atlas(), slabs()
    assert atlas.take(Authority(area="a1", version=1, cells=cells))
    with np.errstate(over="ignore"):
        points = np.array(positions, np.float64).reshape(-1, 3).astype(np.float32)
    finite = [i for i, point in enumerate(points) if not np.isinf(point).any()]  # a server refuses the others
    owners = AreaMap(1, cells).owners(points)
    found = atlas.owners(positions)
    assert [found[i] for i in finite] == [f"a{owners[i]}" if owners[i] else "" for i in finite]


def test_fewer_axes_are_compared_alone() -> None:
    atlas = Atlas()
    atlas.take(Authority(area="north", version=1, cells=(cell(1, "north"), cell(2, "south"))))
    assert atlas.owners([[9.0], [10.0, 3.0], [10.0, 11.0], [], [1.0, 2.0, 3.0]]) == ["north", "south", "", "", "north"]
    assert Atlas().owners([[1.0]]) == [""]


def test_an_older_map_is_not_taken() -> None:
    atlas = Atlas()
    new, old = (Authority(area="north", version=v, cells=(cell(1, "north", f"http://{v}/"),)) for v in (5, 4))
    assert atlas.take(new)
    assert not atlas.take(old)
    assert not atlas.take(new)
    assert (atlas.version, atlas.urls("north"), atlas.urls("south")) == (5, ["http://5"], [])


def test_of_several_planes_one_has_to_be_named() -> None:
    planes = tuple(PlaneMap(plane=name, version=1, cells=(cell(1, f"{name}-1"),)) for name in ("hazards", "physics"))
    with pytest.raises(RequestRefused, match="hazards, physics: name one of them"):
        Atlas().take(WorldMap(planes))
    with pytest.raises(RequestRefused, match="no plane sound: it has hazards, physics"):
        Atlas("sound").take(WorldMap(planes))
    atlas = Atlas("physics")
    assert atlas.take(WorldMap(planes))
    assert list(atlas) == ["physics-1"]
    assert not Atlas("physics").take(WorldMap(()))


def test_a_cell_reaches_into_a_box_or_not() -> None:
    atlas = Atlas()
    atlas.take(Authority(area="north", version=1, cells=(cell(1, "north"), cell(2, "south"))))
    assert [atlas.reaches(name, (0, 0), (10, 10)) for name in ("north", "south", "new")] == [True, False, True]
    assert [atlas.reaches(name, (0, 0, 0), (10.5, 10, 10)) for name in ("north", "south")] == [True, True]
    assert [atlas.reaches(name, (10, 0), (20, 10)) for name in ("north", "south")] == [False, True]
    assert [atlas.reaches(name, None, None) for name in ("north", "south")] == [True, True]
