"""The client against real servers: hedging, failing over, observing without going back."""

from __future__ import annotations

import asyncio
import gzip
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import msgspec
import numpy as np
import pytest

from pairsim.client import AreaClient, BackupSummary, CommandsRefused, Overloaded, RequestRefused, Unavailable, new_id
from pairsim.client.observation import Continuity
from pairsim.model.authority import Authority
from pairsim.model.commands import MAX_BATCH, Result, Status
from pairsim.model.status import Role
from pairsim.protocol.frames import Column, Frame, Rows
from pairsim.protocol.interest import AreaSnapshot, apply
from pairsim.replication.service import NoStateError, RefusedError
from tests.unit.server.fakes import TOKEN, FakeReplica, command, commands
from tests.unit.server.http_servers import serve_replica, soon, until

NOBODY = "http://127.0.0.1:1"


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Yields the URL of a stopped process: its sockets accept connections and never answer."""
    held: list[asyncio.StreamWriter] = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in held:
            writer.close()
        await server.wait_closed()


@pytest.mark.parametrize("way", ["send", "session"])
@pytest.mark.parametrize("first", ["dead", "silent"])
async def test_the_other_replica_answers_for_a_dead_or_silent_one(
    way: str, first: str, service: FakeReplica, url: str
) -> None:
    async with AsyncExitStack() as stack:
        other = NOBODY if first == "dead" else await stack.enter_async_context(silent())
        client = await stack.enter_async_context(AreaClient([other, url]))
        sender = client if way == "send" else await stack.enter_async_context(client.session())
        results = await soon(asyncio.gather(*(sender.send(commands(2, f"{i}-")) for i in range(5))))
    assert {r.status for answer in results for r in answer} == {Status.APPLIED}
    assert len(service.seen) == 10


@pytest.mark.parametrize("way", ["send", "session"])
async def test_an_active_that_stops_in_the_middle_is_hedged_and_nothing_doubles(way: str) -> None:
    """The active has committed it but never answers; the passive took over with that in its log."""
    active, other = FakeReplica("a", auto=False), FakeReplica("b")
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(serve_replica(p)) for p in (active, other)]
        client = await stack.enter_async_context(AreaClient(urls))
        sender = client if way == "send" else await stack.enter_async_context(client.session())
        other.seen["c0"] = 10
        assert await soon(sender.send(commands(1))) == [Result("c0", Status.APPLIED, 10)]
        active.commit()


async def test_a_session_survives_the_death_of_its_replica() -> None:
    first, second = FakeReplica("a", auto=False), FakeReplica("b")
    async with AsyncExitStack() as outer:
        url_b = await outer.enter_async_context(serve_replica(second))
        async with AsyncExitStack() as inner:
            url_a = await inner.enter_async_context(serve_replica(first, hold=0.1))
            client = await outer.enter_async_context(AreaClient([url_a, url_b], tick_rate=0.01))
            session = await outer.enter_async_context(client.session())
            waiting = [asyncio.ensure_future(session.send(commands(3, f"{i}-"))) for i in range(20)]
            await until(lambda: len(first.submitted) == 20)
            first.become(Role.PASSIVE)
            first.interrupt()
        results = await soon(asyncio.gather(*waiting))
    assert [[r.id for r in answer] for answer in results] == [[f"{i}-{j}" for j in range(3)] for i in range(20)]
    assert {r.status for answer in results for r in answer} == {Status.APPLIED}


@pytest.mark.parametrize("way", ["send", "session"])
async def test_each_refusal_has_its_own_error(way: str, service: FakeReplica, url: str) -> None:
    async with AreaClient([url]) as client, client.session() as session:
        sender = client if way == "send" else session
        with pytest.raises(CommandsRefused, match="sing"):
            await soon(sender.send([command("a", op="sing")]))
        with pytest.raises(CommandsRefused, match="10,000"):
            await soon(sender.send(commands(MAX_BATCH + 1)))
        service.full = True
        with pytest.raises(Overloaded):
            await soon(sender.send(commands(1)))
        service.full = False
        assert len(await soon(sender.send(commands(MAX_BATCH)))) == MAX_BATCH


async def test_a_batch_too_large_for_a_frame_is_refused_before_it_is_sent(url: str) -> None:
    async with AreaClient([url]) as client, client.session() as session:
        huge = [command(f"c{i}", position=[0.5] * 100) for i in range(MAX_BATCH)]
        with pytest.raises(CommandsRefused, match="bytes"):
            await soon(session.send(huge))


async def test_an_unreachable_pair_is_reported_within_the_deadline() -> None:
    async with AreaClient([NOBODY, NOBODY + "2"], deadline=0.1) as client:
        with pytest.raises(Unavailable) as caught:
            await soon(client.send(commands(1)))
        assert caught.value.unknown == ()
        with pytest.raises(Unavailable):
            await soon(client.status())
        with pytest.raises(Unavailable):
            async with aclosing(client.observe()) as frames:
                await soon(anext(frames))


async def test_reads_go_to_any_replica(service: FakeReplica, url: str) -> None:
    service.spawn(1, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    async with AreaClient([NOBODY, url]) as client:
        assert (await soon(client.status())).replica == "a"
        found = await soon(client.entity(2))
        assert found is not None
        assert (found.tick, found.components["position"]) == (10, [4.0, 5.0, 6.0])
        assert await soon(client.entity(3)) is None
        page = await soon(client.entities((0, 0), (9, 9), limit=1))
        assert ([e.id for e in page.entities], page.next) == ([1], 1)
        assert [e.id for e in (await soon(client.entities(after=1))).entities] == [2]
        assert await soon(client.digests(10, 11)) == {10: f"{10:016x}"}
        with pytest.raises(RequestRefused):
            await soon(client.entities((0, 0), (0, 0)))


async def test_numbers_that_are_not_finite_are_read_as_nan(service: FakeReplica, url: str) -> None:
    service.spawn(1, [[math.nan, 2.0, math.inf], [4.0, 5.0, 6.0]])
    service.table.column("mass")[:] = [-math.inf, 7.0]
    async with AreaClient([url]) as client:
        page = await soon(client.entities())
        assert [entity.id for entity in page.entities] == [1, 2]
        position, mass = page.entities[0].components["position"], page.entities[0].components["mass"]
        assert isinstance(position, list)
        assert [math.isnan(number) for number in position] == [True, False, True]
        assert isinstance(mass, float)
        assert math.isnan(mass)
        assert page.entities[1].components == {"position": [4.0, 5.0, 6.0], "mass": 7.0}
        found = await soon(client.entity(1))
        assert found is not None
        assert repr(found.components["position"]) == "[nan, 2.0, nan]"
        assert (page.tick, page.next, found.tick) == (10, None, 10)


async def test_control_requests_to_a_pair_find_the_active(service: FakeReplica, url: str) -> None:
    passive = FakeReplica("b", Role.PASSIVE)
    authority = Authority(area="north", version=2, cells=())
    async with serve_replica(passive) as other, AreaClient([other, NOBODY, url], token=TOKEN) as client:
        assert (await soon(client.switchover())).gap_ms == 6.5
        assert service.orders == ["switchover"]
        service.refuse = RefusedError("the passive is not in sync")
        with pytest.raises(RequestRefused, match="not in sync"):
            await soon(client.switchover())
        service.refuse = None
        await soon(client.authorise(authority))
        assert (service.orders, passive.orders) == (["switchover"], [])
        assert (service.known_map, passive.known_map.version) == (authority, 0)
        assert await soon(client.map()) == passive.known_map


async def test_a_control_request_that_may_have_taken_effect_is_not_repeated(service: FakeReplica, url: str) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    broken = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, AreaClient([broken, url], token=TOKEN) as client:
        with pytest.raises(Unavailable):
            await soon(client.switchover())
    assert service.orders == []


async def test_a_read_is_repeated_while_there_is_no_state(service: FakeReplica, url: str) -> None:
    service.spawn(1, [[1.0, 2.0, 3.0]])
    service.read_errors = [NoStateError("joining"), NoStateError("joining")]
    async with AreaClient([url]) as client:
        assert await soon(client.entity(1)) is not None
    assert service.reads == 3


async def test_an_observation_goes_on_at_the_other_replica_without_going_back() -> None:
    a, b = FakeReplica("a"), FakeReplica("b")
    rng = np.random.default_rng(3)
    for service in (a, b):
        service.spawn(1, [[1.0, 1.0, 1.0]] * 5)
    async with AsyncExitStack() as outer:
        url_b = await outer.enter_async_context(serve_replica(b))
        inner = AsyncExitStack()
        url_a = await inner.enter_async_context(serve_replica(a))
        client = await outer.enter_async_context(AreaClient([url_a, url_b]))
        frames = await outer.enter_async_context(aclosing(client.observe((0, 0), (9, 9))))
        seen: list[Frame] = [await soon(anext(frames))]
        for tick in range(11, 15):
            a.table.column("position")[:, 2] = rng.random(5)
            a.publish(tick)
            seen.append(await soon(anext(frames)))
        # b is two ticks behind, in another term, and has another content
        b.term = 2
        b.publish(12)
        b.table.column("position")[0] = [50.0, 0.0, 0.0]
        b.spawn(6, [[2.0, 2.0, 2.0]])
        following = asyncio.ensure_future(anext(frames))
        await soon(inner.aclose())
        await until(lambda: b.reads > 0)
        for tick in (13, 14, 15):
            b.publish(tick)
            await asyncio.sleep(0)
        seen.append(await soon(following))
    assert [f.tick for f in seen] == [10, 11, 12, 13, 14, 15]
    assert [f.keyframe for f in seen] == [True] + [False] * 5
    content: AreaSnapshot | None = None
    for frame in seen:
        content = apply(content, frame)
    assert content is not None
    assert sorted(content.ids.tolist()) == [2, 3, 4, 5, 6]
    assert content.columns["position"].shape == (5, 3)


def frame(tick: int, term: int, *, keyframe: bool = False) -> Frame:
    return Frame(tick, term, keyframe, Rows(), Rows(), b"")


def test_lower_terms_and_seen_ticks_are_held_back() -> None:
    continuity = Continuity()
    assert continuity.accept(frame(5, 3, keyframe=True)) is not None
    assert continuity.accept(frame(6, 3)) is not None
    continuity.reconnected()
    assert continuity.accept(frame(9, 2, keyframe=True)) is None
    assert continuity.accept(frame(6, 3)) is None
    shown = continuity.accept(frame(7, 3))
    assert shown is not None
    assert (shown.tick, shown.keyframe) == (7, False)
    continuity.reconnected()
    with pytest.raises(ValueError, match="keyframe"):
        continuity.accept(frame(8, 3))


def ids(*entities: int) -> bytes:
    return np.array(entities, "<i8").tobytes()


def test_who_left_during_a_gap_moved_or_is_gone() -> None:
    """The keyframe of the other replica is held back at first, and an entity leaves before its frames count again."""
    both = {"mass": Column("<f8", 1, np.array([1.0, 2.0, 3.0, 4.0]).tobytes())}
    continuity = Continuity()
    continuity.accept(Frame(5, 3, True, Rows(ids(1, 2, 3, 4), both), Rows(), b"", 8))
    assert continuity.clock == 8
    continuity.reconnected()
    rest = {"mass": Column("<f8", 1, np.array([3.0, 4.0]).tobytes())}
    keyframe = Frame(5, 3, True, Rows(ids(3, 4), rest), Rows(), b"", 8, {"east": ids(1, 99)}, ids(2))
    assert continuity.accept(keyframe) is None
    shown = continuity.accept(Frame(6, 3, False, Rows(), Rows(), ids(3), 9, {"east": ids(3)}))
    assert shown is not None
    assert (shown.clock, sorted(np.frombuffer(shown.leave, "<i8"))) == (9, [1, 2, 3])
    assert {area: sorted(np.frombuffer(moved, "<i8")) for area, moved in shown.moved.items()} == {"east": [1, 3]}
    assert shown.gone == ids(2)
    last = continuity.accept(Frame(7, 3, False, Rows(), Rows(), ids(4), 10))
    assert last is not None
    assert (last.moved, last.gone) == ({}, b"")


async def test_an_observer_that_comes_back_brings_its_clock(service: FakeReplica, url: str) -> None:
    service.spawn(1, [[1.0, 1.0, 1.0]] * 2)
    service.borders.clock = 1
    async with AreaClient([url]) as client, aclosing(client.observe()) as frames:
        await soon(anext(frames))
        borders = service.borders.copy()
        borders.clock, borders.departures = 3, borders.departures.add(2, np.array([1]), np.array([0], np.int32))
        with service._lock:
            service.table.despawn(np.array([1], np.int64))
            service.borders = borders
            service.move("north")  # which closes the connection
            service.publish()
        shown = await soon(anext(frames))
        while not shown.leave:
            shown = await soon(anext(frames))
        assert (shown.keyframe, shown.gone) == (False, ids(1))


def mass(value: float) -> Rows:
    return Rows(np.array([1], "<i8").tobytes(), {"mass": Column("<f8", 1, np.array([value]).tobytes())})


def test_the_changes_of_a_held_back_frame_come_with_the_next_one() -> None:
    continuity = Continuity()
    continuity.accept(Frame(5, 3, True, mass(1.0), Rows(), b""))
    assert continuity.accept(Frame(6, 2, False, Rows(), mass(2.0), b"")) is None
    shown = continuity.accept(Frame(7, 3, False, Rows(), Rows(), b""))
    assert shown == Frame(7, 3, False, Rows(), mass(2.0), b"")


def test_new_ids_differ() -> None:
    made = {new_id() for _ in range(100)}
    assert len(made) == 100
    assert all(len(i) <= 64 for i in made)


def test_a_client_needs_a_url() -> None:
    with pytest.raises(ValueError, match="URL"):
        AreaClient([])


async def test_a_backup_comes_from_a_replica_that_has_the_area(service: FakeReplica, url: str) -> None:
    service.spawn(1, [[1.0, 2.0, 3.0]] * 5)
    other, pieces = FakeReplica("b"), []
    other.area = "south"

    async def save(piece: bytes) -> None:
        pieces.append(piece)

    async with serve_replica(other) as wrong, AreaClient([NOBODY, wrong, url], token=TOKEN) as client:
        assert await soon(client.backup("north", save, seconds=10.0)) == BackupSummary(10, 5)
        assert len(gzip.decompress(b"".join(pieces)).splitlines()) == 5
        with pytest.raises(Unavailable):
            await soon(client.backup("west", save, seconds=10.0))
    async with AreaClient([url], token=TOKEN) as client:
        with pytest.raises(RequestRefused) as caught:
            await soon(client.backup("west", save, seconds=10.0))
        assert caught.value.status == 421
    async with AreaClient([url], token="wrong") as client:
        with pytest.raises(RequestRefused) as caught:
            await soon(client.backup("north", save, seconds=10.0))
        assert caught.value.status == 403


async def test_a_backup_that_breaks_off_does_not_go_on_at_the_other_replica(url: str) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    pieces: list[bytes] = []

    async def save(piece: bytes) -> None:
        pieces.append(piece)

    server = await asyncio.start_server(break_off, "127.0.0.1", 0)
    broken = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, AreaClient([broken, url], token=TOKEN) as client:
        with pytest.raises(Unavailable):
            await soon(client.backup("north", save, seconds=10.0))
    assert pieces == [b"half"]


def test_frames_survive_the_wire() -> None:
    sent = frame(5, 3, keyframe=True)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Frame) == sent
