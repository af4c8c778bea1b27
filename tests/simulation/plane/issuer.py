"""The controller of a plane: it moves borders a little, and makes each version of the map known in its own time.

A version reaches an area late, twice, after later ones, or not at all until everything is repaired. A version names the
replicas of all areas, so one follows each change of them.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Mapping, Sequence

from pairsim.model.assignment import Member
from pairsim.model.authority import Authority, Cell
from pairsim.model.borders import AreaMap
from pairsim.model.geometry import Box
from pairsim.replication.service import NotActiveError, RefusedError
from tests.simulation.pair import Pair
from tests.simulation.plane.simulator import WORLD

_NARROWEST = 2.0
"""The least width of a cell."""


class Partition:
    """Columns of cells; borders between columns and those within a column move."""

    def __init__(self, columns: Sequence[int]) -> None:
        """Takes the number of cells in each column, which are of equal size at first."""
        self._across = _edges(WORLD.min[0], WORLD.max[0], len(columns))
        self._along = [_edges(WORLD.min[1], WORLD.max[1], count) for count in columns]

    def boxes(self) -> list[Box]:
        """Returns the cells, column by column."""
        (_, _, low), (_, _, high) = WORLD.min, WORLD.max
        return [
            Box((self._across[c], along[r], low), (self._across[c + 1], along[r + 1], high))
            for c, along in enumerate(self._along)
            for r in range(len(along) - 1)
        ]

    def move(self, rng: random.Random) -> None:
        """Moves one border."""
        edges = rng.choice([e for e in (self._across, *self._along) if len(e) > 2])
        place = rng.randrange(1, len(edges) - 1)
        low, high = edges[place - 1] + _NARROWEST, edges[place + 1] - _NARROWEST
        edges[place] = min(max(edges[place] + rng.uniform(-4.0, 4.0), low), high)


def _edges(low: float, high: float, count: int) -> list[float]:
    return [low + (high - low) * i / count for i in range(count + 1)]


class Issuer:
    """Issues the maps of a plane.

    Attributes:
        map: The newest map.
    """

    def __init__(self, partition: Partition, rng: random.Random, now: Callable[[], float]) -> None:
        self._partition, self._rng, self._now = partition, rng, now
        self._replicas: dict[int, tuple[Member, ...]] = {}
        self._due: list[tuple[float, int, AreaMap]] = []
        self.map = self._next(1)

    def _next(self, version: int) -> AreaMap:
        boxes = self._partition.boxes()
        return AreaMap(
            version,
            tuple(
                Cell(number=n, area=f"area-{n}", bounds=box, replicas=self._replicas.get(n, ()))
                for n, box in enumerate(boxes, 1)
            ),
        )

    def issue(self, areas: Mapping[int, Pair], *, move: bool) -> None:
        """Makes the next version, with the present replicas of all areas."""
        if move:
            self._partition.move(self._rng)
        self._replicas = {number: area.newest().replicas for number, area in areas.items()}
        self.map = self._next(self.map.version + 1)
        for number in areas:
            for _time in range(self._rng.choice((1, 1, 1, 2, 0))):
                self._due.append((self._now() + self._rng.choice((0.02, 0.1, 0.5, 2.0)), number, self.map))

    def members_changed(self, areas: Mapping[int, Pair]) -> bool:
        """Returns whether the newest version names replicas that are not those of their area any more."""
        return any(self._replicas.get(number) != area.newest().replicas for number, area in areas.items())

    def deliver(self, areas: Mapping[int, Pair]) -> None:
        """Grants what is due, to every replica that considers itself the active."""
        now = self._now()
        due = [entry for entry in self._due if entry[0] <= now]
        self._due = [entry for entry in self._due if entry[0] > now]
        for _when, number, granted in due:
            grant(areas[number], granted)

    def repeat(self, areas: Mapping[int, Pair]) -> None:
        """Grants the newest version to all areas."""
        for area in areas.values():
            grant(area, self.map)


def grant(area: Pair, granted: AreaMap) -> None:
    """Grants a map to an area, as the controller does that sends it to the active."""
    authority = Authority(area=area.spec.area, version=granted.version, cells=granted.cells)
    for node in area.awake_replicas():
        with contextlib.suppress(NotActiveError, RefusedError):
            node.submit_grant(authority)
