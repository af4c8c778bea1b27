"""The passive's session with its active: what its answers mean, and when it is opened again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pairsim.client.session_connection import Link, LinkError
from pairsim.model.commands import Status
from pairsim.replication.service import BatchInterruptedError
from pairsim.server.commands import relay
from pairsim.server.commands.relay import Relay
from tests.unit.server.fakes import TOKEN, FakePort, commands, member
from tests.unit.server.helpers import served, soon, until


@pytest.fixture
async def way(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    monkeypatch.setattr(relay, "PAUSE_SECONDS", 3600.0)
    made = Relay(TOKEN)
    yield made
    await made.close()


async def test_a_batch_that_the_active_may_have_applied_is_not_told_as_not_sent(way: Relay) -> None:
    active = FakePort("a", auto=False)
    async with served(active) as url:
        sending = asyncio.ensure_future(way.send(member("a", url), commands(1)))
        await until(lambda: len(active.submitted) == 1)
        active.interrupt()
        with pytest.raises(BatchInterruptedError):
            await soon(sending)


async def test_a_new_leader_is_dialled_at_once_although_the_former_one_could_not_be(way: Relay) -> None:
    way.prepare(member("gone"))
    await until(way.pausing)
    async with served(FakePort("a")) as url:
        leader = member("a", url)
        assert way.leader_is(leader)
        way.prepare(leader)
        assert way.ready(leader)
        assert (await soon(way.send(leader, commands(1)))).results[0].status is Status.APPLIED


async def test_a_dial_that_failed_when_another_one_led_already_delays_nothing(
    way: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    former, leader = member("a", "http://a"), member("b", "http://b")
    dials: dict[str, asyncio.Future[Link]] = {
        m.url: asyncio.get_running_loop().create_future() for m in (former, leader)
    }

    async def dial(_http: object, url: str, **_options: object) -> Link:
        return await dials[url]

    monkeypatch.setattr(Link, "open", dial)
    way.prepare(former)
    await asyncio.sleep(0)
    dials[former.url].set_exception(LinkError("refused"))
    await asyncio.sleep(0)  # it has failed, and nobody was told yet
    way.leader_is(leader)
    way.prepare(leader)
    await asyncio.sleep(0)
    assert not way.pausing()
    assert way.ready(leader)
