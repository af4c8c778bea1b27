"""A backup holds the whole area at one tick and restores it; half a backup never passes for a whole one."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator

import aiohttp
import msgspec
import numpy as np
import pytest

from pairsim.client import ProcessClient, RequestRefused, Unavailable
from pairsim.model.commands import Command
from pairsim.model.simulation.tick import advance
from pairsim.model.state.table import Table
from pairsim.model.status import Role
from pairsim.server.reads.backup import packed
from pairsim.simulators.physics import Physics
from tests.unit.server.fakes import TOKEN, FakeReplica, assignment
from tests.unit.server.http_servers import soon

MANY = 25_000


def commands(data: bytes) -> list[Command]:
    return [msgspec.json.decode(line, type=Command) for line in gzip.decompress(data).splitlines()]


async def saved(url: str, area: str = "north", token: str = TOKEN) -> tuple[bytes, int, int]:
    pieces: list[bytes] = []

    async def save(piece: bytes) -> None:
        pieces.append(piece)

    async with ProcessClient(url, token=token) as client:
        made = await soon(client.backup(area, save, seconds=10.0))
    return b"".join(pieces), made.tick, made.entities


async def test_a_backup_holds_every_entity_at_one_tick(service: FakeReplica, url: str) -> None:
    service.spawn(0, np.random.default_rng(1).random((MANY, 3)))
    data, tick, entities = await saved(url)
    found = commands(data)
    assert (tick, entities, len(found)) == (service.tick, MANY, MANY)
    assert [command.entity for command in found] == service.table.ids.tolist()
    assert len({command.id for command in found}) == MANY


async def test_an_empty_area_has_an_empty_backup(url: str) -> None:
    data, _tick, entities = await saved(url)
    assert (commands(data), entities) == ([], 0)


def test_the_commands_of_a_backup_restore_the_state_bit_for_bit() -> None:
    spec = assignment().spec
    simulator = _Still(spec)
    before = Table(simulator.components)
    rng = np.random.default_rng(2)
    ids = rng.permutation(5_000).astype(np.int64) * 2**40
    before.spawn(
        ids,
        {"position": rng.random((5_000, 3), np.float32), "velocity": rng.normal(size=(5_000, 3)).astype(np.float32)},
    )
    before.despawn(ids[::7])
    restored = Table(simulator.components)
    assert advance(simulator, restored, commands(b"".join(packed(before, 9))), 1, spec) == {}
    assert restored.digest() == before.digest()


class _Still(Physics):
    """Commands alone change it."""

    def step(self, *_: object) -> None:  # type: ignore[override]
        """Nothing moves."""


async def test_a_backup_needs_the_token_and_the_areas_name(
    http: aiohttp.ClientSession, service: FakeReplica, url: str
) -> None:
    async with http.get(f"{url}/v1/backup?area=north") as answer:
        assert answer.status == 401
    async with http.get(f"{url}/v1/backup", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
        assert answer.status == 400
    with pytest.raises(RequestRefused, match="has north, not south") as refused:
        await saved(url, "south")
    assert refused.value.status == 421
    service.become(Role.SPARE)
    with pytest.raises(RequestRefused, match="no area"):
        await saved(url)


async def test_a_second_backup_is_refused_until_the_first_is_read(service: FakeReplica, url: str) -> None:
    service.spawn(0, np.zeros((10, 3)))
    reached, go = asyncio.Event(), asyncio.Event()

    async def slowly(_piece: bytes) -> None:
        reached.set()
        await go.wait()

    service.spawn(100, np.random.default_rng(3).random((200_000, 3)))  # more than the sockets' buffers take
    async with ProcessClient(url, token=TOKEN) as client:
        first = asyncio.create_task(client.backup("north", slowly, seconds=10.0))
        await soon(reached.wait())
        with pytest.raises(Unavailable, match="being made already"):
            await saved(url)
        go.set()
        assert (await soon(first)).entities == 200_010
    assert (await saved(url))[2] == 200_010


async def test_a_backup_that_breaks_off_is_an_error(
    service: FakeReplica, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.spawn(0, np.random.default_rng(4).random((MANY, 3)))

    def broken(table: Table, tick: int) -> Iterator[bytes]:
        pieces = packed(table, tick)
        yield next(pieces)
        raise TimeoutError("the machine is too slow")

    monkeypatch.setattr("pairsim.server.reads.backup.packed", broken)
    with pytest.raises(Unavailable):
        await saved(url)


async def test_an_error_of_the_save_function_is_raised_as_it_is(service: FakeReplica, url: str) -> None:
    service.spawn(0, np.zeros((10, 3)))

    class FullError(Exception):
        pass

    async def save(_piece: bytes) -> None:
        raise FullError

    async with ProcessClient(url, token=TOKEN) as client:
        with pytest.raises(FullError):
            await soon(client.backup("north", save, seconds=10.0))
