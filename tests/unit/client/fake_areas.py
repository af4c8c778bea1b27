"""Areas side by side along x, each served by one fake replica: ten metres each, north from 0 and south from 10."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np

from pairsim.model.assignment import Member
from pairsim.model.authority import Authority, Cell
from pairsim.model.borders import AreaMap
from pairsim.model.commands import Command, Result, Status
from pairsim.model.geometry import Box
from tests.unit.server.fakes import FakeReplica
from tests.unit.server.http_servers import serve_replica

SIZE = 10.0


def cell(number: int, area: str, *urls: str) -> Cell:
    """Returns the cell of the area with a number."""
    low = (number - 1) * SIZE
    replicas = tuple(Member(replica=f"{area}-{i}", peer="127.0.0.1:1", url=url) for i, url in enumerate(urls))
    return Cell(number=number, area=area, bounds=Box((low, 0.0, 0.0), (low + SIZE, SIZE, SIZE)), replicas=replicas)


class MovingReplica(FakeReplica):
    """A replica of an area that entities leave: it answers commands to them as areas do.

    Attributes:
        applied: The ids of the commands that were applied.
        asked: The ids and attempts of all commands, in their order.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.applied: list[str] = []
        self.asked: list[tuple[str, int]] = []
        self.on_commands: Callable[[], None] = lambda: None
        self._moved: dict[str, tuple[int, Result]] = {}

    def commit(self) -> None:
        self.on_commands()
        super().commit()

    def _result(self, item: Command) -> Result:
        self.asked.append((item.id, item.attempt))
        if item.id in self.seen:
            return super()._result(item)
        attempt, answer = self._moved.get(item.id, (0, None))
        if answer is not None and item.attempt <= attempt:
            return answer
        if item.op != "spawn" and self.table.row(item.entity) is None:
            (there,) = self.borders.departures.areas_of(np.array([item.entity], np.int64))
            cell = self.borders.map.cell(there)
            urls = tuple(replica.url for replica in cell.replicas) if cell is not None else ()
            answer = Result(item.id, Status.MOVED, self.tick, area=cell.area if cell is not None else "", urls=urls)
            self._moved[item.id] = item.attempt, answer
            return answer
        if item.op == "spawn":
            self.table.spawn(np.array([item.entity], np.int64), {})
        self.applied.append(item.id)
        return super()._result(item)


class FakeAreas:
    """The areas of a plane.

    Attributes:
        replicas: The one replica of each area, by the area's name.
        cells: The cells of the newest map.
        version: Its version.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.replicas = {name: MovingReplica(name) for name in names}
        self.cells: tuple[Cell, ...] = ()
        self.version = 0
        for number, (name, replica) in enumerate(self.replicas.items(), 1):
            replica.area = name
            replica.borders.number = number

    def learn(self, cells: Sequence[Cell]) -> None:
        """Makes a new version of the map known to all areas."""
        self.version += 1
        self.cells = tuple(cells)
        for name, replica in self.replicas.items():
            replica.known_map = Authority(area=name, version=self.version, cells=self.cells)
            replica.borders.map = AreaMap(self.version, self.cells)

    def leave(self, area: str, entity: int, to: int) -> None:
        """Lets an entity leave its area for the area with this number; 0 if it is removed."""
        replica = self.replicas[area]
        borders = replica.borders.copy()
        borders.clock += 10
        borders.departures = borders.departures.add(borders.clock, np.array([entity]), np.array([to], np.int32))
        with replica._lock:
            replica.table.despawn(np.array([entity], np.int64))
            replica.borders = borders
        replica.publish()

    def enter(self, area: str, entity: int, *, clock: int) -> None:
        """Lets an entity appear in the middle of an area, in a tick with a clock."""
        replica = self.replicas[area]
        borders = replica.borders.copy()
        borders.clock = clock
        with replica._lock:
            replica.spawn(entity, [[(borders.number - 0.5) * SIZE, 1.0, 1.0]])
            replica.borders = borders
        replica.publish()


@asynccontextmanager
async def fake_areas(*names: str) -> AsyncIterator[FakeAreas]:
    """Serves areas that know the map of all of them."""
    areas = FakeAreas(names)
    async with AsyncExitStack() as stack:
        urls = {name: await stack.enter_async_context(serve_replica(r)) for name, r in areas.replicas.items()}
        areas.learn([cell(number, name, urls[name]) for number, name in enumerate(names, 1)])
        yield areas
