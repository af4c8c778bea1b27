"""The one way in for a batch: the inbox, the relay, or held until there is an active."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import pytest

from pairsim.model.commands import CommandError, Result, Status
from pairsim.model.status import Role, SimulatorPhase, SimulatorState
from pairsim.protocol.frames import RELAY_HEADER
from pairsim.replication.service import BatchInterruptedError, Committed, InboxFullError, NotActiveError
from pairsim.server.commands import gateway as gateway_module
from pairsim.server.commands import session
from pairsim.server.commands.gateway import Gateway
from pairsim.server.http.errors import HttpError
from pairsim.server.metrics.registry import ReplicaMetrics
from pairsim.server.notifications import NotificationHub
from tests.unit.server.fakes import TOKEN, FakeReplica, commands, member
from tests.unit.server.http_servers import serve_replica, soon, until


@asynccontextmanager
async def gateway(service: FakeReplica, *, hold: float = 5.0, limit: int = 1000) -> AsyncIterator[Gateway]:
    hub = NotificationHub()
    unwatch = service.watch(hub.listener())
    made = Gateway(service, hub, ReplicaMetrics(service.status), name=service.name, token=TOKEN, limit=limit, hold=hold)
    try:
        yield made
    finally:
        await made.close()
        unwatch()


def fates(answer: Committed) -> list[Status]:
    return [result.status for result in answer.results]


async def test_the_active_commits_a_batch() -> None:
    async with gateway(FakeReplica()) as way:
        assert fates(await soon(way.commit(commands(3)))) == [Status.APPLIED] * 3
        assert way._submitted == set(), "nothing is kept of a batch that was answered"


async def test_without_an_active_a_batch_is_held_and_then_503() -> None:
    service = FakeReplica(role=Role.PASSIVE)
    async with gateway(service, hold=0.05) as way:
        with pytest.raises(HttpError) as caught:
            await soon(way.commit(commands(1)))
    assert (caught.value.status, caught.value.unknown) == (503, False)


async def test_held_batches_are_submitted_in_order_when_this_replica_becomes_active() -> None:
    service = FakeReplica(role=Role.PASSIVE, auto=False)
    async with gateway(service) as way:
        waiting = [asyncio.ensure_future(way.commit(commands(1, f"b{i}-"))) for i in range(20)]
        await until(lambda: len(way._held) == 20)
        service.become(Role.ACTIVE, term=2)
        await until(lambda: len(service.submitted) == 20)
        assert [batch[0].id for batch, _ in service.submitted] == [f"b{i}-0" for i in range(20)]
        service.commit()
        for answer in await soon(asyncio.gather(*waiting)):
            assert (answer.term, fates(answer)) == (2, [Status.APPLIED])


async def test_a_change_of_role_wakes_held_batches_in_the_same_turn_of_the_loop() -> None:
    """No timer is involved, so the first command after a takeover loses no more than a millisecond."""
    service = FakeReplica(role=Role.PASSIVE, auto=False)
    async with gateway(service) as way:
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: len(way._held) == 1)
        if way._poll is not None:
            way._poll.cancel()  # from here on only the change itself can wake it
        service.become(Role.ACTIVE)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(service.submitted) == 1
        service.commit()
        await soon(waiting)


async def test_a_batch_that_fails_after_the_change_of_role_is_sent_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No other change follows: the one that wakes held batches was before the batch was held."""
    monkeypatch.setattr(gateway_module, "_POLL_SECONDS", 1000.0)
    service = FakeReplica(auto=False)
    async with gateway(service) as way:
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: len(service.submitted) == 1)
        changes = way._hub.changes.count
        service.become(Role.ACTIVE, term=2)
        await until(lambda: way._hub.changes.count > changes)
        service.interrupt()
        await until(lambda: len(service.submitted) == 1)
        service.commit()
        assert fates(await soon(waiting)) == [Status.APPLIED]


async def test_an_interrupted_batch_is_sent_again_and_its_own_duplicate_is_its_result() -> None:
    service = FakeReplica(auto=False)
    service.rejects["c1"] = "no such entity"
    async with gateway(service) as way:
        waiting = asyncio.ensure_future(way.commit(commands(2)))
        await until(lambda: len(service.submitted) == 1)
        batch, done = service.submitted.pop()
        service.tick += 1
        for item in batch:  # it was committed after all, but no answer could say so
            service._result(item)
        service.role = Role.PASSIVE
        done(BatchInterruptedError("the leadership was lost"))
        await until(lambda: len(way._held) == 1)
        service.become(Role.ACTIVE, term=2)
        await until(lambda: len(service.submitted) == 1)
        service.commit()
        answer = await soon(waiting)
    assert answer.results == [
        Result("c0", Status.APPLIED, 11),
        Result("c1", Status.REJECTED, 11, "no such entity"),
    ]


async def test_a_duplicate_from_before_the_request_stays_a_duplicate() -> None:
    service = FakeReplica()
    async with gateway(service) as way:
        first = await soon(way.commit(commands(1)))
        assert fates(await soon(way.commit(commands(1)))) == [Status.DUPLICATE]
        service.publish()  # the tick of the first one is known now
        service.auto = False
        await until(lambda: way._hub.tick >= first.results[0].tick)
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: len(service.submitted) == 1)
        service.interrupt()
        await until(lambda: len(service.submitted) == 1)
        service.commit()
        assert fates(await soon(waiting)) == [Status.DUPLICATE]


async def test_commands_over_the_limit_are_refused_until_others_are_committed() -> None:
    service = FakeReplica(auto=False)
    async with gateway(service, limit=10) as way:
        waiting = asyncio.ensure_future(way.commit(commands(8)))
        await until(lambda: len(service.submitted) == 1)
        with pytest.raises(InboxFullError):
            await way.commit(commands(3, "d"))
        service.commit()
        await soon(waiting)
        service.auto = True
        assert len((await soon(way.commit(commands(10, "e")))).results) == 10


async def test_a_full_inbox_after_an_unknown_outcome_stays_an_unknown_outcome() -> None:
    service = FakeReplica(auto=False)
    async with gateway(service, hold=0.1) as way:
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: len(service.submitted) == 1)
        service.full = True
        service.interrupt()
        with pytest.raises(HttpError) as caught:
            await soon(waiting)
    assert (caught.value.status, caught.value.unknown) == (503, True)


async def test_the_passive_relays_over_one_kept_session() -> None:
    active = FakeReplica("a")
    passive = FakeReplica("b", Role.PASSIVE)
    async with serve_replica(active) as url, gateway(passive) as way:
        passive.known_leader = member("a", url)
        answers = await soon(asyncio.gather(*(way.commit(commands(2, f"r{i}-")) for i in range(30))))
        assert all(fates(answer) == [Status.APPLIED] * 2 for answer in answers)
        assert passive.submitted == []
        async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
            assert 'pairsim_sessions{area="north"} 1.0' in (await answer.text()).splitlines()


async def test_what_the_active_refuses_comes_back_through_the_relay() -> None:
    active = FakeReplica("a")
    passive = FakeReplica("b", Role.PASSIVE)
    async with serve_replica(active) as url, gateway(passive) as way:
        passive.known_leader = member("a", url)
        with pytest.raises(CommandError, match="sing"):
            await soon(way.commit([msgspec.structs.replace(commands(1)[0], op="sing")]))
        active.full = True
        with pytest.raises(InboxFullError):
            await soon(way.commit(commands(1)))


async def test_a_relayed_batch_is_neither_held_nor_relayed_again() -> None:
    third = FakeReplica("c")
    async with serve_replica(third) as elsewhere, gateway(FakeReplica("b", Role.PASSIVE)) as way:
        way._service.known_leader = member("c", elsewhere)
        with pytest.raises(NotActiveError):
            await soon(way.commit(commands(1), relayed=True))
        assert third.seen == {}


async def test_two_passives_that_take_each_other_for_the_active_do_not_relay_in_circles() -> None:
    a, b = FakeReplica("a", Role.PASSIVE), FakeReplica("b", Role.PASSIVE)
    async with (
        serve_replica(a, hold=0.1) as url_a,
        serve_replica(b, hold=0.1) as url_b,
        aiohttp.ClientSession() as http,
    ):
        a.known_leader, b.known_leader = member("b", url_b), member("a", url_a)
        body = msgspec.json.encode({"commands": commands(1)})
        async with http.post(f"{url_a}/v1/commands", data=body, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize("fate", ["lost", "applied"])
async def test_a_batch_at_a_silent_active_is_submitted_here_after_a_takeover(fate: str) -> None:
    """The active is stopped and its sockets stay open: no connection breaks, and no batch may wait for it."""
    active = FakeReplica("a", auto=False)
    passive = FakeReplica("b", Role.PASSIVE)
    async with serve_replica(active) as url, gateway(passive) as way:
        passive.known_leader = member("a", url)
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: len(active.submitted) == 1)
        if fate == "applied":  # and replicated, but the answer never came
            passive.tick += 1
            passive.seen["c0"] = passive.tick
        passive.become(Role.ACTIVE, term=2)
        answer = await soon(waiting)
        assert (answer.term, fates(answer)) == (2, [Status.APPLIED])
        active.commit()


async def test_when_the_relay_breaks_the_batch_follows_the_leadership(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_ANSWER_SECONDS", 0.01)
    first, second = FakeReplica("a", auto=False), FakeReplica("c")
    passive = FakeReplica("b", Role.PASSIVE)
    async with gateway(passive) as way, serve_replica(second) as url_c:
        async with serve_replica(first) as url_a:
            passive.known_leader = member("a", url_a)
            waiting = asyncio.ensure_future(way.commit(commands(1)))
            await until(lambda: len(first.submitted) == 1)
        passive.become(Role.PASSIVE, leader=member("c", url_c), term=2)
        assert fates(await soon(waiting)) == [Status.APPLIED]
        assert list(second.seen) == ["c0"]


async def test_a_session_marked_as_a_relay_is_answered_503_by_a_passive(http: aiohttp.ClientSession) -> None:
    passive, third = FakeReplica("b", Role.PASSIVE), FakeReplica("c")
    async with (
        serve_replica(third) as elsewhere,
        serve_replica(passive) as url,
        http.ws_connect(f"{url}/v1/session", headers={RELAY_HEADER: "1", "Authorization": f"Bearer {TOKEN}"}) as socket,
    ):
        passive.known_leader = member("c", elsewhere)
        await socket.send_bytes(msgspec.msgpack.encode({"seq": 4, "commands": commands(1)}))
        answer = msgspec.msgpack.decode(await soon(socket.receive_bytes()))
        assert (answer["seq"], answer["code"], answer["retry"]) == (4, 503, True)
        assert third.seen == {}


# --- a simulator that does not return

STUCK = SimulatorState("north", SimulatorPhase.STUCK, 2.4, "tick 812, with command 9f (push of entity 7)")
STUCK_SENTENCE = "a has been stuck for 2 s in tick 812, with command 9f (push of entity 7)"


async def test_a_batch_under_way_is_answered_when_the_simulator_is_stuck() -> None:
    service = FakeReplica(auto=False)
    async with gateway(service) as way:
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: service.submitted)
        service.simulator = STUCK
        service.notify(None)
        with pytest.raises(HttpError, match=re.escape(STUCK_SENTENCE)) as caught:
            await soon(waiting)
    assert (caught.value.status, caught.value.unknown) == (503, True)


async def test_a_batch_for_a_stuck_simulator_is_refused_until_it_returns() -> None:
    service = FakeReplica()
    async with gateway(service) as way:
        service.simulator = STUCK
        service.notify(None)
        await until(lambda: way._stuck)
        with pytest.raises(HttpError, match=re.escape(STUCK_SENTENCE)) as caught:
            await soon(way.commit(commands(1)))
        assert (caught.value.status, caught.value.unknown, service.seen) == (503, False, {})
        service.simulator = None
        service.notify(None)
        await until(lambda: not way._stuck)
        assert fates(await soon(way.commit(commands(1)))) == [Status.APPLIED]


async def test_a_batch_that_waited_in_vain_for_an_active_reads_what_the_simulator_does() -> None:
    service = FakeReplica(role=Role.PASSIVE)
    service.simulator = STUCK
    async with gateway(service, hold=0.05) as way:
        with pytest.raises(HttpError, match=re.escape(STUCK_SENTENCE)):
            await soon(way.commit(commands(1)))


async def test_the_own_first_run_is_no_duplicate_although_its_tick_is_known_by_now() -> None:
    """What was known when the batch came decides, not what is known when it is sent again."""
    service = FakeReplica(auto=False)
    async with gateway(service) as way:
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: len(service.submitted) == 1)
        (item,), done = service.submitted.pop()
        service.publish()
        service._result(item)  # it was committed after all
        await until(lambda: way._hub.tick == service.tick)
        service.role = Role.PASSIVE
        done(BatchInterruptedError("the leadership was lost"))
        await until(lambda: len(way._held) == 1)
        service.become(Role.ACTIVE, term=2)
        await until(lambda: len(service.submitted) == 1)
        service.commit()
        assert fates(await soon(waiting)) == [Status.APPLIED]


async def test_a_batch_that_is_not_committed_in_time_has_an_unknown_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_module, "ANSWER_SECONDS", 0.05)
    service = FakeReplica(auto=False)
    async with gateway(service) as way:
        with pytest.raises(HttpError, match="not committed within") as caught:
            await soon(way.commit(commands(1)))
        assert (caught.value.status, caught.value.unknown) == (503, True)
        assert (way._commands, way._batches) == (0, 0)
        service.commit()


async def test_without_a_new_active_an_interrupted_batch_has_an_unknown_outcome() -> None:
    service = FakeReplica(auto=False)
    async with gateway(service, hold=0.05) as way:
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: len(service.submitted) == 1)
        service.role = Role.PASSIVE
        service.interrupt()
        with pytest.raises(HttpError, match="no active") as caught:
            await soon(waiting)
    assert caught.value.unknown


@pytest.mark.parametrize("interrupted", [False, True])
async def test_a_held_batch_is_not_sent_to_another_area(interrupted: bool) -> None:
    """The process was given another area, which has other entities."""
    service = FakeReplica(auto=False)
    service.role = Role.ACTIVE if interrupted else Role.PASSIVE
    async with gateway(service) as way:
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        if interrupted:
            await until(lambda: len(service.submitted) == 1)
            service.role = Role.PASSIVE
            service.interrupt()
        await until(lambda: len(way._held) == 1)
        service.move("south")
        service.become(Role.ACTIVE)
        with pytest.raises(HttpError, match="another area") as caught:
            await soon(waiting)
    assert (caught.value.unknown, service.submitted) == (interrupted, [])


async def test_a_cancelled_batch_is_not_held_any_more() -> None:
    service = FakeReplica(role=Role.PASSIVE)
    async with gateway(service) as way:
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: len(way._held) == 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (len(way._held), way._commands, way._batches) == (0, 0, 0)


async def test_batches_over_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_module, "MAX_BATCHES", 2)
    service = FakeReplica(auto=False)
    async with gateway(service) as way:
        waiting = [asyncio.ensure_future(way.commit(commands(1, name))) for name in "xy"]
        await until(lambda: len(service.submitted) == 2)
        with pytest.raises(InboxFullError):
            await way.commit(commands(1, "z"))
        service.commit()
        await soon(asyncio.gather(*waiting))


async def test_held_batches_look_for_an_active_without_a_change_of_status() -> None:
    """No change of status announces that a relay works again."""
    service = FakeReplica(role=Role.PASSIVE, auto=True)
    async with gateway(service) as way:
        waiting = asyncio.ensure_future(way.commit(commands(1)))
        await until(lambda: len(way._held) == 1)
        service.role = Role.ACTIVE  # and nobody is notified
        assert fates(await soon(waiting)) == [Status.APPLIED]
