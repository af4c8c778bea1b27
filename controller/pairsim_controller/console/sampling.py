"""Where some of the entities are: enough for a picture, and no more work than a picture is worth.

At most `ENTITIES` entities of a world are asked for, a page of those with the lowest ids from each area's passive, one
area after the other and at most `RATE` pages a second, however many areas and viewers there are; and nothing while
nobody looks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from pairsim.client import AreaClient, ClientError
from pairsim.model.world_status import AreaStatusView

ENTITIES = 2000
RATE = 16.0
_FEWEST = 20
_HZ = 4.0
_DEADLINE = 1.0


class Sample(msgspec.Struct, frozen=True):
    """Some entities of an area at a tick: `points` is x, y, x, y and so on, in metres."""

    area: str
    tick: int
    points: list[float]
    entities: int


class Sampler:
    """Asks for samples as long as it runs."""

    def __init__(self, areas: Callable[[], list[AreaStatusView]], show: Callable[[Sample], None]) -> None:
        """`areas` gives the world as it is; `show` takes what was found."""
        self._areas, self._show = areas, show
        self._clients: dict[tuple[str, ...], AreaClient] = {}

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                areas = [area for area in self._areas() if area.replicas]
                pause = max(1 / RATE, 1 / _HZ / max(1, len(areas)))
                for area in areas:
                    await self._sample(area, max(_FEWEST, ENTITIES // len(areas)))
                    await asyncio.sleep(pause)
                await self._forget(areas)
                if not areas:
                    await asyncio.sleep(1 / _HZ)
        finally:
            await self._forget([])

    async def _sample(self, area: AreaStatusView, limit: int) -> None:
        urls = _urls(area)
        client = self._clients.setdefault(urls, AreaClient(urls, area=area.area, deadline=_DEADLINE))
        try:
            page = await client.entities(limit=limit)
        except ClientError:
            return  # the picture tells how the area is
        points: list[float] = []
        for entity in page.entities:
            position = entity.components.get("position")
            if isinstance(position, list) and len(position) >= 2:
                points += (round(position[0], 2), round(position[1], 2))
        self._show(Sample(area.area, page.tick, points, max(r.entities for r in area.replicas)))

    async def _forget(self, areas: list[AreaStatusView]) -> None:
        """Closes what leads to replicas that are no more."""
        for urls in self._clients.keys() - {_urls(area) for area in areas}:
            await self._clients.pop(urls).close()


def _urls(area: AreaStatusView) -> tuple[str, ...]:
    """The passive first: it keeps the active's CPU free."""
    return tuple(replica.url for replica in sorted(area.replicas, key=lambda r: (r.role != "passive", r.replica)))
