"""A process may be given another area; nobody is served from the wrong one."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from pairsim.client.client import AreaClient
from pairsim.client.errors import RequestRefused, Unavailable
from pairsim.model.commands import Status
from pairsim.model.status import Role
from pairsim.protocol.frames import AREA_HEADER
from pairsim.server.commands.gateway import Gateway
from pairsim.server.http.errors import HttpError
from pairsim.server.http.notifications import Hub
from pairsim.server.metrics.registry import Metrics
from tests.unit.server.fakes import TOKEN, FakePort, commands
from tests.unit.server.helpers import served, soon, until


async def test_a_client_that_names_its_area_passes_over_processes_of_others() -> None:
    right, wrong = FakePort(), FakePort()
    wrong.area = "south"
    async with served(wrong) as first, served(right) as second, AreaClient([first, second], area="north") as client:
        assert [r.status for r in await soon(client.send(commands(2)))] == [Status.APPLIED] * 2
        await soon(client.entities(limit=1))
        async with client.session() as session:
            await soon(session.send(commands(2, "s-")))
        async for frame in client.observe():
            assert frame.tick == right.tick
            break
    assert len(right.seen) == 4
    assert not wrong.seen


async def test_who_means_another_process_is_told_nothing_and_obeyed_in_nothing() -> None:
    port = FakePort("b")
    async with served(port) as url, AreaClient([url], replica="a", token=TOKEN, deadline=0.3) as client:
        with pytest.raises(Unavailable, match="421"):
            await soon(anext(client.watch()))
        with pytest.raises(RequestRefused, match="this process is b, not a"):
            await soon(client.release("north"))
        with pytest.raises(RequestRefused, match="this process is b, not a"):
            await soon(client.switchover())
    assert port.orders == []
    async with served(port) as url, AreaClient([url], replica="b", token=TOKEN) as client:
        assert (await soon(anext(client.watch()))).replica == "b"
        await soon(client.release("north"))
    assert port.orders == ["north"]


@pytest.mark.parametrize("header", ["Pairsim-Area", "Pairsim-Replica"])
async def test_a_header_that_is_no_text_is_answered_like_any_other(header: str) -> None:
    async with served(FakePort()) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}: ".encode() + b"\xff\r\n\r\n"
        )
        answer = await soon(reader.read())
        writer.close()
    assert answer.startswith(b"HTTP/1.1 421")
    assert rb"\\udcff" in answer


async def test_with_only_processes_of_other_areas_it_says_so() -> None:
    wrong = FakePort()
    wrong.area = "south"
    async with served(wrong) as url, AreaClient([url], area="north", deadline=0.3) as client:
        with pytest.raises(Unavailable, match="simulates south, not north"):
            await soon(client.send(commands(1)))
    assert not wrong.seen


async def test_a_spare_serves_nobody_who_means_an_area(http: aiohttp.ClientSession) -> None:
    async with (
        served(FakePort(role=Role.SPARE)) as url,
        http.get(f"{url}/v1/entities", headers={AREA_HEADER: "north"}) as answer,
    ):
        assert answer.status == 421
        assert "is a spare, not north" in await answer.text()


async def test_a_session_ends_when_the_process_gets_another_area() -> None:
    port = FakePort()
    async with (
        served(port) as url,
        AreaClient([url], area="north", deadline=0.5) as client,
        client.session() as session,
    ):
        await soon(session.send(commands(1, "before-")))
        port.move("south")
        with pytest.raises(Unavailable):
            await soon(session.send(commands(1, "after-")))
    assert not [i for i in port.seen if i.startswith("after-")]


async def test_what_was_held_for_the_old_area_is_not_sent_to_the_new_one() -> None:
    port, hub = FakePort(role=Role.PASSIVE), Hub()
    unwatch = port.watch(hub.listener())
    way = Gateway(port, hub, Metrics(port.status), name="a", token=TOKEN, limit=100, hold=5.0)
    held = asyncio.ensure_future(way.commit(commands(1)))
    await until(lambda: len(way._held) == 1)
    port.move("south")
    port.become(Role.ACTIVE, term=2)
    with pytest.raises(HttpError, match="another area"):
        await soon(held)
    assert not port.seen
    await way.close()
    unwatch()
