"""The area of an entity is found while it crosses, and also while some areas do not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from pairsim.client.errors import RequestRefused, Unavailable
from pairsim.client.http import HttpClient
from pairsim.client.locating import locate
from tests.unit.client.fake_areas import FakeAreas, cell, fake_areas
from tests.unit.server.http_servers import soon

NOBODY = "http://127.0.0.1:9"


@pytest_asyncio.fixture
async def areas() -> AsyncIterator[FakeAreas]:
    async with fake_areas("north", "south", "west") as made:
        yield made


@pytest_asyncio.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    await client.close()


async def test_the_area_that_has_it_answers(areas: FakeAreas, http: HttpClient) -> None:
    areas.enter("south", 7, clock=5)
    found = await soon(locate(http, areas.cells, 7, 5.0))
    assert found is not None
    assert (found.area, found.number, found.moved, found.position) == ("south", 2, False, [15.0, 1.0, 1.0])
    assert found.urls == [areas.cells[1].replicas[0].url]
    assert await soon(locate(http, areas.cells, 8, 5.0)) is None


async def test_of_an_entity_on_its_way_the_area_where_it_went_is_named(areas: FakeAreas, http: HttpClient) -> None:
    areas.enter("south", 7, clock=5)
    areas.leave("south", 7, 3)
    found = await soon(locate(http, areas.cells, 7, 5.0))
    assert found is not None
    assert (found.area, found.moved, found.position) == ("west", True, None)
    areas.enter("west", 7, clock=30)
    found = await soon(locate(http, areas.cells, 7, 5.0))
    assert found is not None
    assert (found.area, found.moved, found.clock) == ("west", False, 30)


async def test_of_two_areas_that_have_it_the_higher_clock_counts(areas: FakeAreas, http: HttpClient) -> None:
    """A replica of one of them lags."""
    areas.enter("north", 7, clock=5)
    areas.enter("south", 7, clock=9)
    areas.enter("west", 7, clock=3)
    found = await soon(locate(http, areas.cells, 7, 5.0))
    assert found is not None
    assert found.area == "south"


async def test_silent_areas_are_named_unless_another_one_has_it(areas: FakeAreas, http: HttpClient) -> None:
    cells = (*areas.cells, cell(4, "east", NOBODY), cell(5, "gone"))
    areas.enter("south", 7, clock=5)
    found = await soon(locate(http, cells, 7, 5.0))
    assert found is not None
    assert found.area == "south"
    with pytest.raises(Unavailable, match="did not answer: east, gone; try again"):
        await soon(locate(http, cells, 8, 5.0))


async def test_before_there_is_a_map_it_is_not_known_where_an_entity_is(http: HttpClient) -> None:
    with pytest.raises(Unavailable, match="no area of the world has a cell yet"):
        await locate(http, (), 7, 5.0)


async def test_an_invalid_id_is_refused(areas: FakeAreas, http: HttpClient) -> None:
    with pytest.raises(RequestRefused) as caught:
        await soon(locate(http, areas.cells, 2**63, 5.0))
    assert caught.value.status == 400
