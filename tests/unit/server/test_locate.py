"""A replica names the area of an entity: its own, or the one that the entity went to."""

from __future__ import annotations

import aiohttp
import numpy as np
import pytest

from pairsim.model.assignment import Member
from pairsim.model.authority import Cell
from pairsim.model.borders import DIED, AreaMap, Bundle
from pairsim.model.geometry import Box
from pairsim.model.status import Role
from tests.unit.server.fakes import FakeReplica


def know(service: FakeReplica) -> None:
    service.borders.map = AreaMap(
        3,
        tuple(
            Cell(
                number=number,
                area=area,
                bounds=Box((low, 0.0, 0.0), (low + 10.0, 10.0, 10.0)),
                replicas=(Member(replica=area, peer="127.0.0.1:1", url=f"http://{area}:80"),),
            )
            for number, area, low in ((1, "north", 0.0), (2, "south", 10.0))
        ),
    )


async def ask(http: aiohttp.ClientSession, url: str, entity: object) -> tuple[int, dict[str, object]]:
    async with http.get(f"{url}/v1/locate/{entity}") as answer:
        return answer.status, await answer.json()


async def test_an_entity_of_the_area(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    service.spawn(7, [[1.0, 2.0, 3.0], [1.0, float("nan"), 0.0]])
    here = {"plane": "physics", "area": "north", "number": 1, "moved": False, "tick": 10, "clock": 0}
    assert await ask(http, url, 7) == (200, {"entity": 7, **here, "position": [1.0, 2.0, 3.0], "urls": []})
    know(service)
    expected = {"entity": 8, **here, "position": [1.0, None, 0.0], "urls": ["http://north:80"]}
    assert await ask(http, url, 8) == (200, expected)


async def test_an_entity_that_left(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    know(service)
    departures = service.borders.departures.add(4, np.array([7, 8, 9]), np.array([2, DIED, 5], np.int32))
    service.borders.departures = departures.add(5, np.array([6]), np.array([2], np.int32))
    status, answer = await ask(http, url, 7)
    assert (status, answer["area"], answer["number"], answer["moved"]) == (200, "south", 2, True)
    assert (answer["position"], answer["urls"]) == (None, ["http://south:80"])
    status, answer = await ask(http, url, 9)
    assert (status, answer["area"], answer["number"], answer["urls"]) == (200, "", 5, []), "its cell is not known"
    status, answer = await ask(http, url, 8)
    assert (status, answer["error"]) == (404, "entity 8 was removed from north in one of the newest ticks")


async def test_an_entity_that_waits_in_an_outbox(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    """The area has forgotten the departure: the link is cut for long."""
    know(service)
    one = np.array([7], np.int64)
    service.borders.send(2, Bundle(one, {"mass": np.array([1.0])}, np.array([1], np.int64), version=3))
    status, answer = await ask(http, url, 7)
    assert (status, answer["area"], answer["moved"]) == (200, "south", True)


async def test_an_entity_that_is_not_known(http: aiohttp.ClientSession, url: str, service: FakeReplica) -> None:
    status, answer = await ask(http, url, 99)
    assert status == 404
    assert "does not remember that it left: ask the controller or `pairsim up`" in str(answer["error"])
    service.become(Role.SPARE)
    assert (await ask(http, url, 99))[0] == 503


@pytest.mark.parametrize("entity", ["-1", 2**63, "x", "1?page=2"])
async def test_a_question_that_is_not_valid(http: aiohttp.ClientSession, url: str, entity: object) -> None:
    assert (await ask(http, url, entity))[0] == 400
