"""The HTTP contract of a witness process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

import aiohttp
import pytest
import pytest_asyncio

from pairsim.client import ProcessClient, RequestRefused
from pairsim.model.status import WitnessGroup
from pairsim.server.http.listener import serve_app
from pairsim.server.witness_app import witness_app
from tests.unit.server.fakes import TOKEN, FakeWitness, assignment
from tests.unit.server.http_servers import soon

GROUP = WitnessGroup(area="north", generation=1, term=4, tick=17, leader="a", members=("a", "b", "w"))


@pytest.fixture
def witness() -> FakeWitness:
    return FakeWitness()


@pytest_asyncio.fixture
async def address(witness: FakeWitness) -> AsyncIterator[str]:
    async with serve_app(witness_app(witness, TOKEN), "127.0.0.1:0") as number:
        yield f"http://127.0.0.1:{number}"


async def test_the_status_and_the_watch_show_the_groups(witness: FakeWitness, address: str) -> None:
    async with ProcessClient(address) as client, aclosing(client.watch_witness()) as statuses:
        assert (await soon(client.witness_status())).areas == ()
        assert (await soon(anext(statuses))).areas == ()
        witness.become(GROUP)
        while (received := await soon(anext(statuses))).areas == ():
            pass
        assert received.areas == (GROUP,)


async def test_assigning_and_releasing(witness: FakeWitness, address: str) -> None:
    async with ProcessClient(address, token=TOKEN) as client:
        await soon(client.assign(assignment()))
        await soon(client.release("north"))
        with pytest.raises(RequestRefused, match="generation 9"):
            await soon(client.assign(assignment(7)))
    assert witness.orders == [assignment(), "north"]


async def test_a_request_for_another_process_is_refused(witness: FakeWitness, address: str) -> None:
    async with ProcessClient(address, replica="v", token=TOKEN) as client:
        with pytest.raises(RequestRefused, match="this process is w, not v"):
            await soon(client.release("north"))
    assert witness.orders == []


async def test_a_watcher_learns_at_once_that_the_process_leaves(
    http: aiohttp.ClientSession, witness: FakeWitness, address: str
) -> None:
    async with ProcessClient(address) as client, aclosing(client.watch_witness()) as statuses:
        assert not (await soon(anext(statuses))).leaving
        async with http.post(f"{address}/v1/leave", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert answer.status == 204
        while not (await soon(anext(statuses))).leaving:
            pass


async def test_control_requests_need_the_token(http: aiohttp.ClientSession, witness: FakeWitness, address: str) -> None:
    for method in ("PUT", "DELETE"):
        async with http.request(method, f"{address}/v1/assignment?area=north") as answer:
            assert answer.status == 401
    assert witness.orders == []


async def test_probes_and_metrics(http: aiohttp.ClientSession, witness: FakeWitness, address: str) -> None:
    witness.become(GROUP)
    for path in ("livez", "readyz"):
        async with http.get(f"{address}/{path}") as answer:
            assert answer.status == 200
    async with http.get(f"{address}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    for line in ("pairsim_witness_areas 1.0", 'pairsim_term{area="north"} 4.0', 'pairsim_tick{area="north"} 17.0'):
        assert line in lines
    async with http.get(f"{address}/v1/commands") as answer:
        assert answer.status == 404
