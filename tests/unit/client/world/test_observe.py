"""A world is observed over all of its areas, through ends of replicas and changes of the map."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import numpy as np
import pytest
import pytest_asyncio

from pairsim.client import RequestRefused, Unavailable, WorldClient
from pairsim.client.world import streams
from pairsim.client.world.merge import WorldFrame
from pairsim.model.geometry import Box
from pairsim.protocol.interest import AreaSnapshot, apply
from tests.unit.client.fake_areas import FakeAreas, cell, fake_areas
from tests.unit.server.fakes import command
from tests.unit.server.http_servers import serve_replica, soon

NOBODY = "http://127.0.0.1:9"


@pytest_asyncio.fixture
async def areas() -> AsyncIterator[FakeAreas]:
    async with fake_areas("north", "south") as made:
        made.enter("north", 1, clock=5)
        made.enter("north", 2, clock=6)
        made.enter("south", 3, clock=1)
        yield made


@pytest_asyncio.fixture
async def world(areas: FakeAreas) -> AsyncIterator[WorldClient]:
    async with WorldClient([areas.cells[0].replicas[0].url]) as client:
        yield client


class Reader:
    """Reads the frames of an observation."""

    def __init__(self, frames: AsyncIterator[WorldFrame]) -> None:
        self._frames = frames
        self.content: AreaSnapshot | None = None
        self.seen: list[WorldFrame] = []

    async def one(self) -> WorldFrame:
        frame = await soon(anext(self._frames))
        self.seen.append(frame)
        self.content = apply(self.content, frame)
        assert len(set(self.ids)) == len(self.ids)
        return frame

    @property
    def ids(self) -> list[int]:
        assert self.content is not None
        return sorted(self.content.ids.tolist())

    async def until(self, *entities: int) -> None:
        """Reads until exactly these entities are there."""
        while self.content is None or self.ids != sorted(entities):
            await self.one()


async def test_who_crosses_is_there_all_the_time(areas: FakeAreas, world: WorldClient) -> None:
    async with aclosing(world.observe()) as frames:
        reader = Reader(frames)
        first = await reader.one()
        assert (first.keyframe, reader.ids, first.silent) == (True, [1, 2, 3], ())
        areas.leave("north", 1, 2)
        while (await reader.one()).area != "north":
            assert reader.ids == [1, 2, 3]
        assert reader.ids == [1, 2, 3]
        areas.enter("south", 1, clock=40)
        while not (await reader.one()).update:
            assert reader.ids == [1, 2, 3]
        assert all(not frame.leave for frame in reader.seen)
        areas.leave("south", 3, 0)
        await reader.until(1, 2)
        assert np.frombuffer(reader.seen[-1].gone, "<i8").tolist() == [3]
        await soon(world.send([command("a", entity=1)]))
        assert areas.replicas["south"].asked == [("a", 1)], "the observer knows where it is"


async def test_an_observation_goes_on_when_the_replicas_are_replaced(areas: FakeAreas) -> None:
    async with AsyncExitStack() as stack:
        moved = await stack.enter_async_context(serve_replica(areas.replicas["north"]))
        async with AsyncExitStack() as first:
            url = await first.enter_async_context(serve_replica(areas.replicas["north"]))
            areas.learn([cell(1, "north", url), areas.cells[1]])
            world = await stack.enter_async_context(WorldClient([areas.cells[1].replicas[0].url]))
            reader = Reader(
                await stack.enter_async_context(aclosing(world.observe(((0, 0), (20, 10)), hold_seconds=60)))
            )
            await reader.one()
        areas.learn([cell(1, "north", moved), areas.cells[1]])
        world._keeper.hurry()
        areas.leave("north", 1, 2)
        areas.leave("north", 2, 0)
        await reader.until(1, 3)
        areas.enter("south", 1, clock=60)
        while not (await reader.one()).update:
            assert reader.ids == [1, 3]
        assert [bytes(frame.leave) for frame in reader.seen if frame.leave] == [np.array([2], "<i8").tobytes()]


async def test_areas_that_come_and_go_with_the_map(areas: FakeAreas, world: WorldClient) -> None:
    both = areas.cells
    areas.learn(both[:1])
    async with aclosing(world.observe(Box((0.0, 0.0, 0.0), (20.0, 10.0, 10.0)), hold_seconds=0.1)) as frames:
        reader = Reader(frames)
        await reader.until(1, 2)
        areas.learn(both)
        world._keeper.hurry()
        await reader.until(1, 2, 3)
        areas.learn(both[1:])
        world._keeper.hurry()
        await reader.until(3)
        assert sorted(np.frombuffer(reader.seen[-1].unseen, "<i8").tolist()) == [1, 2]


async def test_a_silent_area_is_named_and_hides_nobody(
    areas: FakeAreas, world: WorldClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "FIRST_SECONDS", 0.3)
    areas.learn([*areas.cells, cell(3, "west", NOBODY)])
    async with aclosing(world.observe()) as frames:
        reader = Reader(frames)
        assert ((await reader.one()).silent, reader.ids) == (("west",), [1, 2, 3])


async def test_an_observation_that_cannot_be_ends_with_an_error(areas: FakeAreas, world: WorldClient) -> None:
    with pytest.raises(RequestRefused, match="check the names"):
        async with aclosing(world.observe(components=["colour"])) as frames:
            await soon(anext(frames))
    url = areas.cells[0].replicas[0].url
    areas.learn([cell(1, "north", NOBODY), cell(2, "south")])
    async with WorldClient([url], deadline=0.3) as other:
        with pytest.raises(Unavailable, match="no area showed a tick"):
            async with aclosing(other.observe()) as frames:
                await soon(anext(frames))
