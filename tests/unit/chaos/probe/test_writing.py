"""Writers go on in a world whose pods are replaced."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from typing import Self, cast

import pytest

from pairsim.client import Unavailable
from pairsim.model.commands import Command, Result, Status
from pairsim.model.geometry import Box
from pairsim.protocol.frames import EntitiesAnswer
from pairsim_chaos.probe import probe as probing
from pairsim_chaos.probe import writer
from pairsim_chaos.probe.area import AreaNotes
from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.probe.writer import Writer, listed
from pairsim_chaos.target import Place, Pod, Scene, World, WorldError

BOX = Box(min=(0.0, 0.0, 0.0), max=(1.0, 1.0, 1.0))


class Client:
    """As much of an `AreaClient` as a writer needs: one whose processes are there answers, others never do."""

    there: set[str]
    opened: list[Client]
    ticks: Iterator[int]

    def __init__(self, urls: Sequence[str], **_: object) -> None:
        assert urls
        self.urls, self.closed = tuple(urls), False
        Client.opened.append(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.closed = True

    async def entities(self, **_: object) -> EntitiesAnswer:
        await self._answered()
        return EntitiesAnswer(tick=1, term=1, entities=[], next=None)

    async def send(self, commands: Sequence[Command]) -> list[Result]:
        await self._answered()
        tick = next(Client.ticks)
        return [Result(id=each.id, status=Status.APPLIED, tick=tick) for each in commands]

    async def _answered(self) -> None:
        assert not self.closed
        await asyncio.sleep(0)
        if not Client.there & set(self.urls):
            raise Unavailable("nobody answers")


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Client]]:
    Client.there, Client.opened, Client.ticks = set(), [], itertools.count(1)
    monkeypatch.setattr(writer, "AreaClient", Client)
    monkeypatch.setattr(writer, "RATE", 1000.0)
    yield Client.opened
    assert all(client.closed for client in Client.opened)


class Still:
    """A listener that hears nothing."""

    def __init__(self, *_: object) -> None: ...

    async def run(self) -> None:
        await asyncio.Event().wait()


class Replaced:
    """A world whose only simulators are those of `urls`."""

    def __init__(self, *urls: str) -> None:
        self.urls = urls

    async def look(self) -> Scene:
        pods = tuple(Pod(url, "simulator", "west", "active", url) for url in self.urls)
        return Scene((Place("west", "physics", BOX, redundant=True),), pods)

    async def labels(self, _seen: object) -> None:
        await asyncio.Event().wait()


async def acknowledged(notes: AreaNotes) -> None:
    """Waits for one more."""
    before = notes.ledger.tick
    async with asyncio.timeout(10):
        while notes.ledger.tick == before:
            await asyncio.sleep(0.001)


async def test_commands_go_on_when_every_pod_of_the_first_look_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "Listener", Still)
    world = Replaced("http://old")
    Client.there = {"http://old"}
    async with Probe(cast("World", world)) as probe:
        notes = probe._notes["west"]
        await acknowledged(notes)
        Client.there = {"http://new"}
        world.urls = ()
        await probe.refresh()  # for a while there is none at all
        world.urls = ("http://new",)
        await probe.refresh()
        await acknowledged(notes)


async def test_the_state_of_a_world_without_simulators_is_not_known() -> None:
    with pytest.raises(Unavailable, match="no simulator can be reached"):
        await listed((), AreaNotes("west", BOX, now=0.0, unix=0.0))


async def test_a_world_without_simulators_is_not_probed_yet() -> None:
    with pytest.raises(WorldError, match="no simulator of the world runs yet"):
        await Probe(cast("World", Replaced())).__aenter__()


async def test_connections_are_kept_while_the_simulators_are_the_same(clients: list[Client]) -> None:
    writer = Writer(AreaNotes("west", BOX, now=0.0, unix=0.0), ("http://a", "http://b"), 0)
    writer.reach(("http://b", "http://a"))
    assert len(clients) == 1
    writer.reach(("http://b",))
    assert [client.urls for client in clients] == [("http://a", "http://b"), ("http://b",)]
    await writer.finish()
