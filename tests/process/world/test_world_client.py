"""A client of the whole world, while entities stream over borders and the actives of all areas are killed in turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager

import numpy as np
import pytest

from pairsim.client import WorldClient, new_id
from pairsim.client.world.merge import WorldFrame
from pairsim.model.commands import Command, Status
from pairsim.model.status import Role
from pairsim.protocol.interest import AreaSnapshot, apply
from tests.process.world.running_worlds import RunningWorld, until

AREAS = ("west", "middle", "east")
WIDTH = 100.0
_AREA = """
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {{name: {name}}}
spec:
  plane: physics
  bounds: {{min: [{low}, 0, 0], max: [{high}, 100, 1000000]}}
  entities: 0
"""
WORLD = """
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {name: physics}
spec:
  simulator: physics
  tickRate: 20
  bounds: {min: [0, 0, 0], max: [300, 100, 1000000]}
""" + "".join(_AREA.format(name=name, low=i * WIDTH, high=(i + 1) * WIDTH) for i, name in enumerate(AREAS))

SPHERES = 60
SPEED = 80.0
"""In metres a second along x: a sphere crosses a border about once a second."""

HOLD_SECONDS = 30.0
"""A takeover may take that long on a busy machine; what stays unseen for longer is lost."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    made = RunningWorld(tmp_path_factory.mktemp("streams"))
    made.file.write_text(WORLD)
    made.start("--spares", "2")
    made.wait_for("the world is ready: .*")
    until(
        lambda: all(area.version > 0 and area.redundant for area in made.status().areas),
        "the areas know the map",
        made.messages,
    )
    yield made
    made.close()


def client_of(world: RunningWorld) -> WorldClient:
    return WorldClient([f"http://127.0.0.1:{world.port}"], deadline=60.0)


def spawns(first: int) -> list[Command]:
    """Returns the spawns of spheres all over the world, of which every second one moves to the left."""
    return [
        Command(
            new_id(), "spawn", first + i,
            {"position": [(i + 0.5) * 3 * WIDTH / SPHERES, 50.0, 500_000.0], "velocity": [SPEED * (-1) ** i, 0.0, 0.0]},
        )
        for i in range(SPHERES)
    ]  # fmt: skip


async def kill_active(world: RunningWorld, area: str) -> None:
    """Kills the active of an area, and waits until the area is redundant again."""

    def state() -> tuple[str, bool]:
        (found,) = [each for each in world.status().areas if each.area == area]
        return next((r.replica for r in found.replicas if r.role == Role.ACTIVE), ""), found.redundant

    def redundant(other_than: str) -> str:
        active, whole = state()
        return active if whole and active != other_than else ""

    def replace() -> None:
        before = until(lambda: redundant(""), f"{area} has an active", world.messages, 60.0)
        world.run("kill", area)
        until(lambda: redundant(before), f"{area} is redundant again", world.messages, 60.0)

    await asyncio.to_thread(replace)


class Watcher:
    """An observer of the whole world."""

    def __init__(self) -> None:
        self.content: AreaSnapshot | None = None
        self.left: list[int] = []
        self.crossings = 0
        self._areas: dict[int, int] = {}

    @asynccontextmanager
    async def watching(self, client: WorldClient) -> AsyncIterator[None]:
        began = asyncio.Event()

        async def watch() -> None:
            async with aclosing(client.observe(hold_seconds=HOLD_SECONDS)) as frames:
                async for frame in frames:
                    self._take(frame)
                    began.set()

        task = asyncio.ensure_future(watch())
        await asyncio.wait([task, waiting := asyncio.ensure_future(began.wait())], return_when="FIRST_COMPLETED")
        waiting.cancel()
        yield
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    def _take(self, frame: WorldFrame) -> None:
        self.content = apply(self.content, frame)
        assert len(np.unique(self.content.ids)) == len(self.content.ids), "an entity is there twice"
        self.left += np.frombuffer(frame.leave, "<i8").tolist()
        places = self.content.columns["position"][:, 0] // WIDTH if len(self.content.ids) else ()
        now = dict(zip(self.content.ids.tolist(), map(int, places), strict=True))
        self.crossings += sum(self._areas.get(entity, place) != place for entity, place in now.items())
        self._areas = now


async def seen(watcher: Watcher, entities: set[int]) -> None:
    async with asyncio.timeout(60):
        while watcher.content is None or set(watcher.content.ids.tolist()) != entities:
            await asyncio.sleep(0.02)


async def test_an_observer_sees_every_sphere_once_while_actives_are_killed(world: RunningWorld) -> None:
    entities = set(range(1, SPHERES + 1))
    watcher = Watcher()
    async with client_of(world) as client, watcher.watching(client):
        assert {result.status for result in await client.send(spawns(1))} == {Status.APPLIED}
        await seen(watcher, entities)
        for area in AREAS * 2:
            before = watcher.crossings
            await kill_active(world, area)
            async with asyncio.timeout(60):
                while watcher.crossings < before + SPHERES and not watcher.left:
                    await asyncio.sleep(0.02)
            assert watcher.left == [], "an entity vanished"
        assert watcher.content is not None
        assert set(watcher.content.ids.tolist()) == entities


class Pusher:
    """A client that gives spheres impulses of 1 along z, where nothing stops them, and counts what is acknowledged."""

    def __init__(self, entities: range) -> None:
        self.pushed = dict.fromkeys(entities, 0)
        self.statuses: set[Status] = set()
        self.batches = 0
        self._ended = False

    @asynccontextmanager
    async def pushing(self, client: WorldClient) -> AsyncIterator[None]:
        tasks = [asyncio.ensure_future(self._push(client)) for _ in range(4)]
        yield
        self._ended = True
        await asyncio.gather(*tasks)

    async def _push(self, client: WorldClient) -> None:
        while not self._ended:
            batch = [
                Command(new_id(), "impulse", entity, {"impulse": [0.0, 0.0, 1.0]})
                for entity in list(self.pushed)[self.batches % 3 :: 3]
            ]
            self.batches += 1
            for command, result in zip(batch, await client.send(batch), strict=True):
                self.statuses.add(result.status)
                self.pushed[command.entity] += 1


async def test_every_acknowledged_command_ran_once_while_actives_are_killed(world: RunningWorld) -> None:
    first = 1_000
    pusher = Pusher(range(first, first + SPHERES))
    watcher = Watcher()
    async with client_of(world) as client, client_of(world) as other, watcher.watching(client):
        assert {result.status for result in await client.send(spawns(first))} == {Status.APPLIED}
        async with pusher.pushing(other):
            for area in AREAS * 2:
                before = pusher.batches
                await kill_active(world, area)
                async with asyncio.timeout(60):
                    while pusher.batches < before + 20:
                        await asyncio.sleep(0.02)
        assert pusher.statuses == {Status.APPLIED}

        def speeds() -> dict[int, int]:
            if watcher.content is None:
                return {}
            along_z = watcher.content.columns["velocity"][:, 2].tolist()
            found = dict(zip(watcher.content.ids.tolist(), map(int, along_z), strict=True))
            return {entity: speed for entity, speed in found.items() if entity in pusher.pushed}

        async with asyncio.timeout(30):
            while speeds() != pusher.pushed:
                await asyncio.sleep(0.02)
        assert set(watcher.left) == set(), "an entity vanished"
        for entity in (first, first + 1):
            found = await client.locate(entity)
            assert found is not None
            assert found.area in AREAS
