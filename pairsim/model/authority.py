"""Authority: which part of its plane an area simulates, and who simulates the rest.

The controller divides a plane into *cells*: half-open boxes that do not overlap, one for each area. The cells of a
plane in one state are its *map*, and every change of the map makes a new *version*: of a cell, or of the replicas that
simulate one. A grant of authority brings the whole map to an area. It brings the map, and not the cell alone, because
an area hands over an entity that leaves its cell, and has to know the replicas that take it.

Rules:
    An area knows one version, and takes a higher one only. Before its first grant it knows version 0, which has no
    cells; it simulates the box of its document then.
    The number of an area stands for it in columns of entities. It is given once, so an area that is made anew under the
    same name gets another number.
    An area whose name is not in the map has no cell: whatever it still holds belongs to other areas.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import msgspec

from pairsim.model.assignment import Member
from pairsim.model.geometry import Box, Point, overlapping_pair
from pairsim.model.names import Name

AreaNumber = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
"""The number of an area, which fits a column of int32."""

MapVersion = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""The version of a map, which JavaScript can read exactly; 0 before the first one."""


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cell of an area.

    Attributes:
        number: The number of the area, which no other area ever gets.
        area: The name of the area.
        bounds: The half-open box that the area has authority over, in metres.
        replicas: The replicas of the area; empty while no pair simulates it.
    """

    number: AreaNumber
    area: Name
    bounds: Box
    replicas: tuple[Member, ...] = ()


class PlaneMap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The map of a plane.

    Attributes:
        plane: The name of the plane.
        version: The version of the map.
        cells: The cells of all areas that have one, sorted by number.
    """

    plane: Name
    version: MapVersion
    cells: tuple[Cell, ...]


class WorldMap(msgspec.Struct, frozen=True):
    """The newest maps of all planes of a world, sorted by the name of the plane."""

    planes: tuple[PlaneMap, ...]


class Authority(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an area knows of the map of its plane.

    Attributes:
        area: The name of the area.
        version: The version of the map; an area refuses a lower one than it knows.
        cells: The cells of the plane, sorted by number. The area's own cell is missing if it has none (any more).
    """

    area: Name
    version: MapVersion
    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        if self.cells is not _Checked.cells:
            _check(self.cells)
            _Checked.cells = self.cells
        if self.version == 0 and self.cells:
            raise ValueError("version 0 is that of an area without a grant: it has no cells")

    @classmethod
    def before_grants(cls, area: str) -> Authority:
        """Returns what an area knows before its first grant: nothing of its plane."""
        return cls(area=area, version=0, cells=())

    @property
    def own(self) -> Cell | None:
        """The area's own cell; None if it has none."""
        return next((cell for cell in self.cells if cell.area == self.area), None)

    @property
    def number(self) -> int:
        """The area's own number; 0 if it has no cell."""
        own = self.own
        return own.number if own is not None else 0

    def bounds(self, document: Box) -> Box | None:
        """Returns the box that the area has authority over; None if it has none.

        Args:
            document: The box that the area's document gives it, which counts until the first grant.
        """
        if self.version == 0:
            return document
        own = self.own
        return own.bounds if own is not None else None

    def cell_at(self, position: Point) -> Cell | None:
        """Returns the cell that holds a position; None if no cell does, as for a position that is not a number."""
        return next((cell for cell in self.cells if cell.bounds.holds(position)), None)


class _Checked:
    """The cells that were found valid last: the grants of one version share them, and the check takes a while."""

    cells: tuple[Cell, ...] = ()


def _check(cells: tuple[Cell, ...]) -> None:
    """Raises ValueError if the cells cannot be those of one plane."""
    for before, after in pairwise(cells):
        if before.number == after.number:
            raise ValueError(f"the areas {before.area} and {after.area} have the same number, {after.number}")
        if before.number > after.number:
            raise ValueError(f"cells must be sorted by number: {after.number} follows {before.number}")
    names: set[str] = set()
    for cell in cells:
        if cell.area in names:
            raise ValueError(f"the area {cell.area} has two cells")
        names.add(cell.area)
    if (pair := overlapping_pair([cell.bounds for cell in cells])) is not None:
        first, second = (cells[index].area for index in pair)
        raise ValueError(f"the cells of {first} and {second} overlap")
