"""Writers continue in a world whose pods are replaced."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from typing import Self, cast

import pytest

from pairsim.client.errors import Unavailable
from pairsim.model.commands import Command, Result, Status
from pairsim.model.geometry import Box
from pairsim.protocol.frames import EntitiesAnswer, Entity
from pairsim_chaos.probe import probe as probe_module
from pairsim_chaos.probe import writer
from pairsim_chaos.probe.area_evidence import AreaEvidence
from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.probe.writer import Writer, list_entities, remove_entities
from pairsim_chaos.target import AreaView, Target, TargetPod, WorldError, WorldSnapshot

BOX = Box(min=(0.0, 0.0, 0.0), max=(1.0, 1.0, 1.0))


class FakeClient:
    """The part of an `AreaClient` that a writer needs; only clients of the processes in `alive` get answers."""

    alive: set[str]
    opened: list[FakeClient]
    ticks: Iterator[int]
    present: set[int]
    resistance: int
    """How many despawns of an entity have no effect."""

    def __init__(self, urls: Sequence[str], **_: object) -> None:
        assert urls
        self.urls, self.closed = tuple(urls), False
        FakeClient.opened.append(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.closed = True

    async def entities(self, **_: object) -> EntitiesAnswer:
        await self._answered()
        present = sorted(FakeClient.present)
        return EntitiesAnswer(next(FakeClient.ticks), term=1, entities=[Entity(i, {}) for i in present], next=None)

    async def send(self, commands: Sequence[Command]) -> list[Result]:
        await self._answered()
        tick = next(FakeClient.ticks)
        despawned = {each.entity for each in commands if each.op == "despawn"}
        if despawned & FakeClient.present and FakeClient.resistance:
            FakeClient.resistance -= 1
        else:
            FakeClient.present -= despawned
        return [Result(id=each.id, status=Status.APPLIED, tick=tick) for each in commands]

    async def _answered(self) -> None:
        assert not self.closed
        await asyncio.sleep(0)
        if not FakeClient.alive & set(self.urls):
            raise Unavailable("nobody answers")


@pytest.fixture(autouse=True)
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FakeClient]]:
    FakeClient.alive, FakeClient.opened, FakeClient.ticks = set(), [], itertools.count(1)
    FakeClient.present, FakeClient.resistance = set(), 0
    monkeypatch.setattr(writer, "AreaClient", FakeClient)
    monkeypatch.setattr(writer, "RATE", 1000.0)
    yield FakeClient.opened
    assert all(client.closed for client in FakeClient.opened)


class IdleObserver:
    """An observer that observes nothing."""

    def __init__(self, *_: object) -> None: ...

    async def run(self) -> None:
        await asyncio.Event().wait()


class ReplacedTarget:
    """A target whose only simulators are those of `urls`."""

    def __init__(self, *urls: str) -> None:
        self.urls = urls

    async def snapshot(self) -> WorldSnapshot:
        pods = tuple(TargetPod(url, "simulator", "west", "active", url) for url in self.urls)
        return WorldSnapshot((AreaView("west", "physics", BOX, redundant=True),), pods)

    async def watch_labels(self, _on_labels: object) -> None:
        await asyncio.Event().wait()


async def await_acknowledgement(evidence: AreaEvidence) -> None:
    """Waits until one more command is acknowledged."""
    before = evidence.ledger.tick
    async with asyncio.timeout(10):
        while evidence.ledger.tick == before:
            await asyncio.sleep(0.001)


async def test_commands_continue_when_every_pod_of_the_first_snapshot_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "ProcessObserver", IdleObserver)
    target = ReplacedTarget("http://old")
    FakeClient.alive = {"http://old"}
    async with Probe(cast("Target", target)) as probe:
        evidence = probe._evidence["west"]
        await await_acknowledgement(evidence)
        FakeClient.alive = {"http://new"}
        target.urls = ()
        await probe.refresh()  # for a while the world has no simulator at all
        target.urls = ("http://new",)
        await probe.refresh()
        await await_acknowledgement(evidence)


async def test_the_state_of_a_world_without_simulators_cannot_be_read() -> None:
    with pytest.raises(Unavailable, match="no simulator can be reached"):
        await list_entities((), AreaEvidence("west", BOX, now=0.0, unix=0.0))


def probed() -> AreaEvidence:
    """Returns evidence of an area that has three entities of the probe, and one of another client."""
    evidence = AreaEvidence("west", BOX, now=0.0, unix=0.0)
    evidence.ledger.next_batch(3, {})
    FakeClient.present = {evidence.ledger.first + number for number in range(3)} | {evidence.ledger.last + 1}
    return evidence


@pytest.mark.parametrize("resistance", [0, 2])
async def test_entities_are_removed_until_a_state_has_none_of_them(resistance: int) -> None:
    evidence = probed()
    FakeClient.alive, FakeClient.resistance = {"http://a"}, resistance
    assert await remove_entities(("http://a",), evidence) == ""
    assert FakeClient.present == {evidence.ledger.last + 1}


async def test_a_state_from_before_the_despawns_shows_nothing() -> None:
    evidence = probed()
    behind, ids = [1, 2, 3], FakeClient.present
    FakeClient.alive, FakeClient.ticks = {"http://a"}, iter([9, *behind, 9])
    assert await remove_entities(("http://a",), evidence) == ""
    assert (next(FakeClient.ticks, None), len(ids)) == (None, 1)


@pytest.mark.parametrize(
    ("urls", "resistance", "reason"),
    [
        ((), 0, "no simulator can be reached"),
        (("http://gone",), 0, "nobody answers"),
        (("http://a",), 10**9, "the area still had 3 of them after their despawn"),
    ],
)
async def test_entities_that_may_remain_are_reported(
    monkeypatch: pytest.MonkeyPatch, urls: tuple[str, ...], resistance: int, reason: str
) -> None:
    monkeypatch.setattr(writer, "_CLEANUP_SECONDS", 0.2)
    monkeypatch.setattr(probe_module, "ProcessObserver", IdleObserver)
    target = ReplacedTarget("http://a")
    FakeClient.alive, FakeClient.resistance = {"http://a"}, resistance
    probe = Probe(cast("Target", target))
    async with probe:
        probe._evidence["west"] = probe._uncleared[0] = probed()
        target.urls = urls
        await probe.refresh()
    assert probe.remains == (f"west: entities of the probe may remain in the area, because {reason}",)


async def test_a_world_without_simulators_cannot_be_probed_yet() -> None:
    with pytest.raises(WorldError, match="no simulator of the world runs yet"):
        await Probe(cast("Target", ReplacedTarget())).__aenter__()


async def test_connections_are_kept_while_the_simulators_are_the_same(clients: list[FakeClient]) -> None:
    writer = Writer(AreaEvidence("west", BOX, now=0.0, unix=0.0), ("http://a", "http://b"), 0)
    writer.update_urls(("http://b", "http://a"))
    assert len(clients) == 1
    writer.update_urls(("http://b",))
    assert [client.urls for client in clients] == [("http://a", "http://b"), ("http://b",)]
    await writer.finish()
