"""The passive's session with its active: what its answers mean, and when it is opened again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from pairsim.client.session_connection import SessionConnection, SessionNotOpenError
from pairsim.model.commands import Status
from pairsim.model.status import Role
from pairsim.replication.service import BatchInterruptedError, NotActiveError
from pairsim.server.commands import relay
from pairsim.server.commands.relay import Relay
from tests.unit.server.fakes import TOKEN, FakeReplica, commands, member
from tests.unit.server.http_servers import serve_replica, soon, until


@pytest.fixture
async def way(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    monkeypatch.setattr(relay, "PAUSE_SECONDS", 3600.0)
    made = Relay(TOKEN)
    yield made
    await made.close()


async def test_a_batch_that_the_active_may_have_applied_counts_as_interrupted(way: Relay) -> None:
    active = FakeReplica("a", auto=False)
    async with serve_replica(active) as url:
        sending = asyncio.ensure_future(way.send(member("a", url), commands(1)))
        await until(lambda: len(active.submitted) == 1)
        active.interrupt()
        with pytest.raises(BatchInterruptedError):
            await soon(sending)


async def test_a_new_leader_is_dialled_at_once_after_the_former_one_failed(way: Relay) -> None:
    way.prepare(member("gone"))
    await until(way.is_pausing)
    async with serve_replica(FakeReplica("a")) as url:
        leader = member("a", url)
        assert way.follow_leader(leader)
        way.prepare(leader)
        assert way.is_ready(leader)
        assert (await soon(way.send(leader, commands(1)))).results[0].status is Status.APPLIED


async def test_a_failed_dial_to_a_former_leader_delays_nothing(way: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    former, leader = member("a", "http://a"), member("b", "http://b")
    dials: dict[str, asyncio.Future[SessionConnection]] = {
        m.url: asyncio.get_running_loop().create_future() for m in (former, leader)
    }

    async def dial(_http: object, url: str, **_options: object) -> SessionConnection:
        return await dials[url]

    monkeypatch.setattr(SessionConnection, "open", dial)
    way.prepare(former)
    await asyncio.sleep(0)
    dials[former.url].set_exception(SessionNotOpenError("refused"))
    await asyncio.sleep(0)  # it has failed, and its callback did not run yet
    way.follow_leader(leader)
    way.prepare(leader)
    await asyncio.sleep(0)
    assert not way.is_pausing()
    assert way.is_ready(leader)


async def test_after_a_failed_dial_the_relay_pauses(way: Relay) -> None:
    gone = member("gone")
    with pytest.raises(NotActiveError):
        await soon(way.send(gone, commands(1)))
    assert way.is_pausing()
    assert not way.is_ready(gone)
    opening = way._opening
    way.prepare(gone)
    assert way._opening is opening, "it is not dialled again yet"


async def test_a_passive_that_is_taken_for_the_active_refuses_and_the_relay_pauses(way: Relay) -> None:
    async with serve_replica(FakeReplica("b", Role.PASSIVE)) as url:
        with pytest.raises(NotActiveError):
            await soon(way.send(member("b", url), commands(1)))
        assert way.is_pausing()


async def test_batches_at_a_former_leader_fail_at_once(way: Relay) -> None:
    silent = FakeReplica("a", auto=False)
    async with serve_replica(silent) as url:
        sending = asyncio.ensure_future(way.send(member("a", url), commands(1)))
        await until(lambda: len(silent.submitted) == 1)
        assert way.follow_leader(member("b", "http://elsewhere"))
        with pytest.raises(BatchInterruptedError):
            await soon(sending)
        assert not way.follow_leader(member("b", "http://elsewhere")), "there is no session any more"
        silent.commit()


async def test_a_broken_session_is_opened_again(way: Relay) -> None:
    async with serve_replica(FakeReplica("a")) as url:
        leader = member("a", url)
        await soon(way.send(leader, commands(1)))
        assert way._opening is not None
        (await way._opening).drop()
        assert not way.is_ready(leader)
        assert (await soon(way.send(leader, commands(1, "d")))).results[0].status is Status.APPLIED
