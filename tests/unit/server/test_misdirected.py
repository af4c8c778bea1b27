"""A process may be given another area; no request is answered from the wrong area or by the wrong process."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from pairsim.client import AreaClient, ProcessClient, RequestRefused, Unavailable
from pairsim.model.commands import Status
from pairsim.model.status import Role, SimulatorPhase, SimulatorState
from pairsim.protocol.frames import AREA_HEADER
from pairsim.server.commands.gateway import Gateway
from pairsim.server.http.errors import HttpError
from pairsim.server.metrics.registry import ReplicaMetrics
from pairsim.server.notifications import NotificationHub
from tests.unit.server.fakes import TOKEN, FakeReplica, commands
from tests.unit.server.http_servers import serve_replica, soon, until


async def test_a_client_that_names_its_area_passes_over_processes_of_other_areas() -> None:
    right, wrong = FakeReplica(), FakeReplica()
    wrong.area = "south"
    async with (
        serve_replica(wrong) as first,
        serve_replica(right) as second,
        AreaClient([first, second], area="north") as client,
    ):
        assert [r.status for r in await soon(client.send(commands(2)))] == [Status.APPLIED] * 2
        await soon(client.entities(limit=1))
        async with client.session() as session:
            await soon(session.send(commands(2, "s-")))
        async for frame in client.observe():
            assert frame.tick == right.tick
            break
    assert len(right.seen) == 4
    assert not wrong.seen


async def test_requests_for_another_process_are_refused() -> None:
    service = FakeReplica("b")
    async with serve_replica(service) as url, ProcessClient(url, replica="a", token=TOKEN, deadline=0.3) as client:
        with pytest.raises(Unavailable, match="421"):
            await soon(anext(client.watch()))
        with pytest.raises(RequestRefused, match="this process is b, not a"):
            await soon(client.release("north"))
        with pytest.raises(RequestRefused, match="this process is b, not a"):
            await soon(client.switchover())
    assert service.orders == []
    async with serve_replica(service) as url, ProcessClient(url, replica="b", token=TOKEN) as client:
        assert (await soon(anext(client.watch()))).replica == "b"
        await soon(client.release("north"))
    assert service.orders == ["north"]


@pytest.mark.parametrize("header", ["Pairsim-Area", "Pairsim-Replica"])
async def test_a_header_with_invalid_text_is_answered_like_any_other(header: str) -> None:
    async with serve_replica(FakeReplica()) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"GET /v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}: ".encode() + b"\xff\r\n\r\n"
        )
        answer = await soon(reader.read())
        writer.close()
    assert answer.startswith(b"HTTP/1.1 421")
    assert rb"\\udcff" in answer


async def test_a_client_with_only_processes_of_other_areas_reports_their_answers() -> None:
    wrong = FakeReplica()
    wrong.area = "south"
    async with serve_replica(wrong) as url, AreaClient([url], area="north", deadline=0.3) as client:
        with pytest.raises(Unavailable, match="simulates south, not north"):
            await soon(client.send(commands(1)))
    assert not wrong.seen


async def test_a_spare_refuses_requests_for_an_area(http: aiohttp.ClientSession) -> None:
    async with (
        serve_replica(FakeReplica(role=Role.SPARE)) as url,
        http.get(f"{url}/v1/entities", headers={AREA_HEADER: "north"}) as answer,
    ):
        assert answer.status == 421
        assert "is a spare, not north" in await answer.text()


async def test_a_session_ends_when_the_process_gets_another_area() -> None:
    service = FakeReplica()
    async with (
        serve_replica(service) as url,
        AreaClient([url], area="north", deadline=0.5) as client,
        client.session() as session,
    ):
        await soon(session.send(commands(1, "before-")))
        service.move("south")
        with pytest.raises(Unavailable):
            await soon(session.send(commands(1, "after-")))
    assert not [i for i in service.seen if i.startswith("after-")]


async def test_a_batch_held_for_the_old_area_is_not_sent_to_the_new_one() -> None:
    service, hub = FakeReplica(role=Role.PASSIVE), NotificationHub()
    unwatch = service.watch(hub.listener())
    way = Gateway(service, hub, ReplicaMetrics(service.status), name="a", token=TOKEN, limit=100, hold=5.0)
    held = asyncio.ensure_future(way.commit(commands(1)))
    await until(lambda: len(way._held) == 1)
    service.move("south")
    service.become(Role.ACTIVE, term=2)
    with pytest.raises(HttpError, match="another area"):
        await soon(held)
    assert not service.seen
    await way.close()
    unwatch()


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (SimulatorState("north", SimulatorPhase.COMPILING, 12.3), "a has been compiling for 12 s"),
        (
            SimulatorState("north", SimulatorPhase.REFUSED, 1.0, "KeyError at f.py:3"),
            "a cannot simulate north: KeyError",
        ),
        (SimulatorState("south", SimulatorPhase.COMPILING, 12.3), "is a spare, not north"),
    ],
)
async def test_a_process_that_does_not_have_the_area_yet_says_why(state: SimulatorState, sentence: str) -> None:
    service = FakeReplica(role=Role.SPARE)
    service.simulator = state
    async with serve_replica(service) as url:
        async with AreaClient([url], area="north", deadline=0.3) as client:
            with pytest.raises(Unavailable, match=sentence):
                await soon(client.send(commands(1)))
            with pytest.raises(Unavailable, match=sentence):
                await soon(client.entities())
        async with AreaClient([url], deadline=0.3) as client:
            with pytest.raises(Unavailable, match=f"a {state.predicate}"):
                await soon(client.send(commands(1)))
