"""The client of one process: control requests, status and watch."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing

import pytest

from pairsim.client import ProcessClient, RequestRefused, Unavailable
from pairsim.model.status import Role
from pairsim.replication.service import RefusedError
from tests.unit.server.fakes import TOKEN, FakeReplica, assignment
from tests.unit.server.http_servers import serve_replica, soon


async def test_control_requests_to_one_process(service: FakeReplica, url: str) -> None:
    async with ProcessClient(url, token=TOKEN) as client:
        await soon(client.assign(assignment()))
        await soon(client.release("north"))
        await soon(client.keep_warm_engine(keep=True))
        assert service.orders == [assignment(), "north", "keep a warm engine: True"]
        service.refuse = RefusedError("generation 9 is in force")
        with pytest.raises(RequestRefused, match="generation 9") as caught:
            await soon(client.assign(assignment()))
        assert caught.value.status == 409
    async with ProcessClient(url, token="wrong") as client:
        with pytest.raises(RequestRefused) as caught:
            await soon(client.release("north"))
        assert caught.value.status == 403


async def test_a_switchover_goes_to_this_process_alone(service: FakeReplica, url: str) -> None:
    async with ProcessClient(url, token=TOKEN) as client:
        assert (await soon(client.switchover())).gap_ms == 6.5
        assert service.orders == ["switchover"]
        service.become(Role.PASSIVE)
        with pytest.raises(RequestRefused) as caught:
            await soon(client.switchover())
        assert caught.value.status == 421


async def test_a_skip_goes_to_this_process_alone(service: FakeReplica, url: str) -> None:
    async with ProcessClient(url, token=TOKEN) as client:
        assert (await soon(client.skip("c1"))).tick == service.tick
        assert service.orders == [("skip", "c1")]
        service.become(Role.PASSIVE)
        with pytest.raises(RequestRefused) as caught:
            await soon(client.skip("c1"))
        assert caught.value.status == 421


async def test_digests_of_one_replica(url: str) -> None:
    async with ProcessClient(url, area="north") as client:
        assert await soon(client.digests(9, 12)) == {tick: f"{tick:016x}" for tick in (9, 10)}


async def exhaust(statuses: AsyncIterator[object]) -> None:
    async for _ in statuses:
        pass


async def test_a_watch_follows_and_ends_with_the_process() -> None:
    service = FakeReplica()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve_replica(service))
        async with ProcessClient(url) as client, aclosing(client.watch()) as statuses:
            assert (await soon(anext(statuses))).role is Role.ACTIVE
            service.become(Role.PASSIVE)
            while (await soon(anext(statuses))).role is Role.ACTIVE:
                pass
            stopping = asyncio.ensure_future(stack.aclose())
            with pytest.raises(Unavailable):
                await soon(exhaust(statuses))
            await soon(stopping)


async def test_a_process_of_another_kind_is_reported(url: str) -> None:
    async with ProcessClient(url) as client:
        with pytest.raises(RequestRefused, match="not a pairsim process"):
            await soon(client.witness_status())


async def test_a_connection_that_cannot_be_opened_has_its_reason_in_plain_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with ProcessClient(f"http://127.0.0.1:{port}", token=TOKEN) as client:
        with pytest.raises(Unavailable, match=r"no connection to http://127\.0\.0\.1:\d+/\S+: Connection refused$"):
            await soon(client.status())
