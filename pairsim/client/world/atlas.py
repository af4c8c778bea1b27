"""The newest map of a plane as a client knows it: which areas there are, where they are, and who serves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pairsim.client.errors import RequestRefused
from pairsim.model.authority import Authority, Cell, WorldMap

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Points = npt.NDArray[np.float64]

_AXES = 3


class Atlas:
    """The newest map.

    Attributes:
        version: Its version; 0 before the first one.
    """

    def __init__(self, plane: str | None = None, dtype: str = "float32") -> None:
        """Knows no area yet.

        Args:
            plane: The name of the plane; None if the world has a single one.
            dtype: The numpy dtype of positions, in which they are compared with the cells.
        """
        self.version = 0
        self._plane, self._dtype = plane, dtype
        self._cells: dict[str, Cell] = {}

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[str]:
        """Iterates over the names of the areas, in the order of their numbers."""
        return iter(self._cells)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells, in the order of the areas' numbers."""
        return tuple(self._cells.values())

    def take(self, known: WorldMap | Authority) -> bool:
        """Takes a map, if it is newer than the one before; returns whether it is.

        Raises:
            RequestRefused: The world has other planes than the one that is wanted.
        """
        if isinstance(known, Authority):
            version, cells = known.version, known.cells
        else:
            names = [plane.plane for plane in known.planes]
            if self._plane is None and len(names) > 1:
                raise RequestRefused(400, f"the world has the planes {', '.join(names)}: name one of them as `plane`")
            if self._plane is not None and names and self._plane not in names:
                raise RequestRefused(400, f"the world has no plane {self._plane}: it has {', '.join(names)}")
            chosen = [plane for plane in known.planes if self._plane in {None, plane.plane}]
            version, cells = (chosen[0].version, chosen[0].cells) if chosen else (0, ())
        if version <= self.version:
            return False
        self.version, self._cells = version, {cell.area: cell for cell in cells}
        return True

    def urls(self, area: str) -> list[str]:
        """Returns the URLs of an area's replicas; none of an area that the map does not have."""
        cell = self._cells.get(area)
        return [replica.url.rstrip("/") for replica in cell.replicas] if cell is not None else []

    def reaches(self, area: str, low: Sequence[float] | None, high: Sequence[float] | None) -> bool:
        """Returns whether the cell of an area has a part of a box; true of an area that the map does not have.

        Args:
            area: The name of the area.
            low: The lower corner of the box, with two or three axes; None if it has none.
            high: The upper corner, likewise.
        """
        cell = self._cells.get(area)
        if cell is None:
            return True
        above = all(edge > at for edge, at in zip(cell.bounds.max, low or (), strict=False))
        return above and all(edge < at for edge, at in zip(cell.bounds.min, high or (), strict=False))

    def owners(self, positions: Sequence[Sequence[float]]) -> list[str]:
        """Returns the area whose half-open cell holds each position, or an empty name.

        A position with fewer than three axes is compared on those that it has.
        """
        found = [""] * len(positions)
        if not positions or not self._cells:
            return found
        names = list(self._cells)
        lows = _converted([cell.bounds.min for cell in self.cells], self._dtype)
        highs = _converted([cell.bounds.max for cell in self.cells], self._dtype)
        for axes in {len(position) for position in positions} & set(range(1, _AXES + 1)):
            places = [place for place, position in enumerate(positions) if len(position) == axes]
            points = _converted([positions[place] for place in places], self._dtype)[:, None]
            held = _held(points, lows[:, :axes], highs[:, :axes])
            for row, cell in zip(*(indices.tolist() for indices in held), strict=True):
                found[places[row]] = found[places[row]] or names[cell]
        return found


def _held(points: Points, lows: Points, highs: Points) -> tuple[npt.NDArray[np.intp], ...]:
    """Returns the pairs of points, (n, 1, axes), and cells, (c, axes), that hold them."""
    import numpy as np  # noqa: PLC0415 - a client that spawns nothing does without it

    inside: npt.NDArray[np.bool_] = np.logical_and.reduce((points >= lows) & (points < highs), axis=2)
    return np.nonzero(inside)


def _converted(points: Sequence[Sequence[float]], dtype: str) -> Points:
    """Returns points or bounds as areas compare them: a number beyond the dtype becomes its largest one."""
    import numpy as np  # noqa: PLC0415 - a client that spawns nothing does without it

    largest = float(np.finfo(dtype).max)
    numbers: Points = np.clip(np.array(points, np.float64), -largest, largest).astype(dtype)
    return numbers
