"""Commands reach the areas of their entities, run once, and stay with an area until it has answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from pairsim.client import CommandsRefused, Overloaded, RequestRefused, Unavailable, WorldClient
from pairsim.client.world import client as module
from pairsim.model.commands import MAX_BATCH, Command, Status
from tests.unit.client.fake_areas import FakeAreas, cell, fake_areas
from tests.unit.server.fakes import command
from tests.unit.server.http_servers import serve_replica, soon, until

NOBODY = "http://127.0.0.1:9"


@pytest_asyncio.fixture
async def areas() -> AsyncIterator[FakeAreas]:
    async with fake_areas("north", "south", "west") as made:
        yield made


@pytest_asyncio.fixture
async def world(areas: FakeAreas) -> AsyncIterator[WorldClient]:
    async with WorldClient([NOBODY, areas.cells[0].replicas[0].url + "/"]) as client:
        yield client


def spawn(command_id: str, entity: int, x: float) -> Command:
    return command(command_id, "spawn", entity, position=[x, 1.0, 1.0])


def applied(areas: FakeAreas) -> dict[str, list[str]]:
    return {name: replica.applied for name, replica in areas.replicas.items()}


async def test_spawns_go_by_position_and_other_commands_to_their_entity(areas: FakeAreas, world: WorldClient) -> None:
    batch = [spawn("a", 1, 5.0), spawn("b", 2, 25.0), command("c", entity=2), spawn("d", 3, 10.0)]
    results = await soon(world.send(batch))
    assert [(result.id, result.status) for result in results] == [(c.id, Status.APPLIED) for c in batch]
    assert applied(areas) == {"north": ["a"], "south": ["d"], "west": ["b", "c"]}
    await soon(world.send([command("e", entity=3), command("f", entity=1), command("g", entity=2)]))
    assert applied(areas) == {"north": ["a", "f"], "south": ["d", "e"], "west": ["b", "c", "g"]}
    assert {attempt for replica in areas.replicas.values() for _, attempt in replica.asked} == {1}


async def test_an_entity_that_moved_is_followed(areas: FakeAreas, world: WorldClient) -> None:
    await soon(world.send([spawn("a", 1, 5.0)]))
    areas.leave("north", 1, 2)
    areas.enter("south", 1, clock=30)
    (result,) = await soon(world.send([command("b", entity=1)]))
    assert (result.status, applied(areas)["south"]) == (Status.APPLIED, ["b"])
    assert (areas.replicas["north"].asked[-1], areas.replicas["south"].asked) == (("b", 1), [("b", 2)])
    await soon(world.send([command("c", entity=1)]))
    assert areas.replicas["south"].asked[-1] == ("c", 1), "the client remembers where it is"


async def test_an_entity_on_its_way_is_waited_for(areas: FakeAreas, world: WorldClient) -> None:
    await soon(world.send([spawn("a", 1, 5.0)]))
    areas.leave("north", 1, 2)
    sending = asyncio.ensure_future(world.send([command("b", entity=1)]))
    await until(lambda: len(areas.replicas["south"].asked) > 1)
    areas.enter("south", 1, clock=30)
    (result,) = await soon(sending)
    assert (result.status, applied(areas)) == (Status.APPLIED, {"north": ["a"], "south": ["b"], "west": []})
    attempts = [attempt for _, attempt in areas.replicas["south"].asked]
    assert attempts == list(range(2, 2 + len(attempts)))


async def test_an_entity_that_nobody_knows_is_looked_for_everywhere(areas: FakeAreas, world: WorldClient) -> None:
    areas.enter("west", 6, clock=3)
    results = await soon(world.send([command("a", entity=6), command("b", entity=7), command("c", entity=6)]))
    assert [result.status for result in results] == [Status.APPLIED, Status.REJECTED, Status.APPLIED]
    assert results[1].reason == "no area has entity 7"
    assert applied(areas)["west"] == ["a", "c"]
    areas.enter("north", 7, clock=3)
    (again,) = await soon(world.send([command("b", entity=7)]))
    assert again.status is Status.APPLIED, "the same id, with attempts that no area has answered"


async def test_a_command_stays_with_an_area_that_does_not_answer(areas: FakeAreas) -> None:
    """The entity has left, but the area does not say so: it may have applied the command before."""
    async with WorldClient([areas.cells[0].replicas[0].url], deadline=0.4) as world:
        await soon(world.send([spawn("a", 1, 5.0), spawn("b", 2, 25.0)]))
        areas.replicas["north"].auto = False
        areas.leave("north", 1, 2)
        areas.enter("south", 1, clock=30)
        with pytest.raises(Unavailable, match="it is not known whether") as caught:
            await soon(world.send([command("c", entity=1), command("d", entity=2)]))
        assert caught.value.unknown == ("c",)
        assert [(result.id, result.status) for result in caught.value.answered] == [("d", Status.APPLIED)]
        assert areas.replicas["south"].asked == []


async def test_a_refused_part_leaves_the_other_callers_alone(areas: FakeAreas, world: WorldClient) -> None:
    await soon(world.send([spawn("a", 1, 5.0)]))
    good, bad, same = (
        asyncio.ensure_future(world.send([one]))
        for one in (command("b", entity=1), command("c", "sing", 1), command("b", entity=1))
    )
    with pytest.raises(CommandsRefused, match="sing"):
        await soon(bad)
    assert {(await soon(task))[0].status for task in (good, same)} == {Status.APPLIED, Status.DUPLICATE}
    with pytest.raises(CommandsRefused, match="no area's cell holds the position"):
        await soon(world.send([command("d", entity=1), spawn("e", 5, 99.0)]))
    with pytest.raises(CommandsRefused, match="a spawn needs a position"):
        await soon(world.send([Command("f", "spawn", 5)]))
    assert applied(areas)["north"] == ["a", "b"]


async def test_a_full_area_is_reported_with_what_the_others_answered(areas: FakeAreas, world: WorldClient) -> None:
    areas.replicas["south"].full = True
    with pytest.raises(Overloaded, match="1 of 2 commands have results") as caught:
        await soon(world.send([spawn("a", 1, 5.0), spawn("b", 2, 15.0)]))
    assert [result.id for result in caught.value.answered] == ["a"]


async def test_a_batch_that_waits_reaches_the_new_replica_of_its_area(
    areas: FakeAreas, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        north = areas.cells[0].replicas[0].url
        world = await stack.enter_async_context(WorldClient([north]))
        areas.learn([areas.cells[0], cell(2, "south", NOBODY), areas.cells[2]])
        sending = asyncio.ensure_future(world.send([spawn("a", 1, 15.0)]))
        await until(lambda: len(world._couriers) > 0)
        moved = await stack.enter_async_context(serve_replica(areas.replicas["south"]))
        areas.learn([areas.cells[0], cell(2, "south", moved), areas.cells[2]])
        world._keeper.hurry()
        (result,) = await soon(sending)
        assert (result.status, applied(areas)["south"]) == (Status.APPLIED, ["a"])


async def test_an_area_that_the_map_lacks_is_reached_by_the_urls_of_the_answer(areas: FakeAreas) -> None:
    async with WorldClient([areas.cells[0].replicas[0].url]) as world:
        new = areas.cells
        areas.learn(new[:2])
        await soon(world.send([spawn("a", 1, 5.0)]))
        areas.learn(new)
        areas.leave("north", 1, 3)
        areas.enter("west", 1, clock=30)
        assert (await soon(world.send([command("b", entity=1)])))[0].status is Status.APPLIED
        assert applied(areas)["west"] == ["b"]
        await until(lambda: len(world._atlas) == 3)


async def test_the_connections_to_an_area_end_when_the_map_has_it_no_more_and_all_is_answered(
    areas: FakeAreas, world: WorldClient
) -> None:
    areas.replicas["south"].auto = False
    sending = asyncio.ensure_future(world.send([spawn("a", 1, 5.0), spawn("b", 2, 15.0)]))
    await until(lambda: len(areas.replicas["south"].submitted) == 1)
    areas.learn(areas.cells[:1])
    world._keeper.hurry()
    await until(lambda: len(world._atlas) == 1)
    assert sorted(world._couriers) == ["north", "south"]
    areas.replicas["south"].commit()
    assert {result.status for result in await soon(sending)} == {Status.APPLIED}
    areas.learn(areas.cells)
    world._keeper.hurry()
    await until(lambda: list(world._couriers) == ["north"])


async def test_without_a_map_nothing_is_sent(areas: FakeAreas) -> None:
    async with WorldClient([NOBODY], deadline=0.2) as world:
        with pytest.raises(Unavailable, match="no process has a map of the world: http"):
            await soon(world.send([spawn("a", 1, 5.0)]))
    url = areas.cells[0].replicas[0].url
    areas.version = -1
    areas.learn(())
    async with WorldClient([url], deadline=0.2) as world:
        with pytest.raises(Unavailable, match="knows no area with a cell yet"):
            await soon(world.locate(7))
    with pytest.raises(ValueError, match="at least one"):
        WorldClient([])


async def test_callers_wait_while_too_many_commands_are_under_way(
    areas: FakeAreas, world: WorldClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_COMMANDS", 2)
    areas.replicas["north"].auto = False
    first = asyncio.ensure_future(world.send([spawn("a", 1, 5.0), spawn("b", 2, 5.0)]))
    await until(lambda: len(areas.replicas["north"].submitted) == 1)
    second = asyncio.ensure_future(world.send([spawn("c", 3, 15.0)]))
    await asyncio.sleep(0.02)
    assert areas.replicas["south"].asked == []
    areas.replicas["north"].commit()
    await soon(asyncio.gather(first, second))
    with pytest.raises(CommandsRefused, match="10,000"):
        await soon(world.send([command(f"x{i}") for i in range(MAX_BATCH + 1)]))
    assert await world.send([]) == []


async def test_where_an_entity_is(areas: FakeAreas, world: WorldClient) -> None:
    areas.enter("south", 7, clock=5)
    found = await soon(world.locate(7))
    assert found is not None
    assert (found.area, found.moved) == ("south", False)
    await soon(world.send([command("a", entity=7)]))
    assert areas.replicas["south"].asked == [("a", 1)]
    assert await soon(world.locate(8)) is None
    with pytest.raises(RequestRefused):
        await soon(world.locate(-1))


async def test_commands_under_way_end_with_the_client(areas: FakeAreas) -> None:
    areas.replicas["north"].auto = False
    async with WorldClient([areas.cells[0].replicas[0].url]) as world:
        sending = asyncio.ensure_future(world.send([spawn("a", 1, 5.0)]))
        await until(lambda: len(areas.replicas["north"].submitted) == 1)
    with pytest.raises(Unavailable) as caught:
        await soon(sending)
    assert caught.value.unknown == ("a",)
