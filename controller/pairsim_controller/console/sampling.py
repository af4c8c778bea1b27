"""Samples of entities' positions for the console's map, at a bounded cost.

The sampler asks each area's passive for a page of the entities with the lowest ids. It asks one area after the other,
with at most `MAX_PAGES_PER_SECOND` requests a second and about `MAX_ENTITIES` entities in all, however many areas and
viewers exist. It runs only while the console has a viewer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec

from pairsim.client import AreaClient, ClientError
from pairsim.model.world_status import AreaStatusView

MAX_ENTITIES = 2000
MAX_PAGES_PER_SECOND = 16.0
_MIN_ENTITIES_PER_AREA = 20
_MAX_HZ = 4.0
_REQUEST_SECONDS = 1.0


class Sample(msgspec.Struct, frozen=True):
    """Positions of some entities of an area at a tick.

    Attributes:
        area: The area.
        tick: The tick that the positions belong to.
        points: Coordinates in metres: x, y, x, y and so on.
        entities: The number of entities in the area, most of which are not in the sample.
        unplaced: Whether the area's entities have no position, so that the sample has no points.
    """

    area: str
    tick: int
    points: list[float]
    entities: int
    unplaced: bool = False


class Sampler:
    """Asks for samples while it runs."""

    def __init__(self, areas: Callable[[], list[AreaStatusView]], show: Callable[[Sample], None]) -> None:
        """Samples the areas that `areas` returns, and calls `show` with each sample."""
        self._areas, self._show = areas, show
        self._clients: dict[tuple[str, ...], AreaClient] = {}

    async def run(self) -> None:
        """Samples until it is cancelled."""
        try:
            while True:
                areas = [area for area in self._areas() if area.replicas]
                pause = max(1 / MAX_PAGES_PER_SECOND, 1 / _MAX_HZ / max(1, len(areas)))
                for area in areas:
                    await self._sample(area, max(_MIN_ENTITIES_PER_AREA, MAX_ENTITIES // len(areas)))
                    await asyncio.sleep(pause)
                await self._close_unused(areas)
                if not areas:
                    await asyncio.sleep(1 / _MAX_HZ)
        finally:
            await self._close_unused([])

    async def _sample(self, area: AreaStatusView, limit: int) -> None:
        urls = _urls(area)
        client = self._clients.setdefault(urls, AreaClient(urls, area=area.area, deadline=_REQUEST_SECONDS))
        try:
            page = await client.entities(limit=limit)
        except ClientError:
            return  # the area's card shows its state
        points: list[float] = []
        unplaced = bool(page.entities)
        for entity in page.entities:
            position = entity.components.get("position")
            if isinstance(position, list) and len(position) >= 2:
                unplaced = False
                if math.isfinite(position[0]) and math.isfinite(position[1]):
                    points += (round(position[0], 2), round(position[1], 2))
        self._show(Sample(area.area, page.tick, points, max(r.entities for r in area.replicas), unplaced))

    async def _close_unused(self, areas: list[AreaStatusView]) -> None:
        """Closes the clients of pairs that changed or no longer exist."""
        for urls in self._clients.keys() - {_urls(area) for area in areas}:
            await self._clients.pop(urls).close()


def _urls(area: AreaStatusView) -> tuple[str, ...]:
    """Returns the replicas' URLs, the passive's first: reads there leave the active's CPU to its ticks."""
    return tuple(replica.url for replica in sorted(area.replicas, key=lambda r: (r.role != "passive", r.replica)))
