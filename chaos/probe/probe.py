"""The probe: everything that is sent to a world and listened to in it while experiments run."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Self

from chaos.probe.area import AreaNotes, Findings
from chaos.probe.listening import Listener
from chaos.probe.writing import Writer, clear, listed
from chaos.scene import SIMULATOR, Scene, World, WorldError
from pairsim.network.client_errors import ClientError

_LOOK = 0.25


class Probe:
    """Of one world; use it as an async context manager.

    Attributes:
        scene: The newest look at the world.
    """

    def __init__(self, world: World) -> None:
        """Nothing is sent yet."""
        self._world = world
        self._notes: dict[str, AreaNotes] = {}
        self._writers: list[Writer] = []
        self._writing: list[asyncio.Task[None]] = []
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._looking: asyncio.Task[None] | None = None
        self.scene = Scene((), ())

    async def __aenter__(self) -> Self:
        """Begins to listen and to write.

        Raises:
            WorldError: The world does not answer.
        """
        loop = asyncio.get_running_loop()
        self.scene = await self._world.look()
        for place in self.scene.places:
            self._notes[place.area] = AreaNotes(place.area, place.bounds, now=loop.time(), unix=time.time())
        self._listen()
        for place in self.scene.places:
            for number, urls in enumerate(_from_either(self.scene, place.area)):
                writer = Writer(self._notes[place.area], urls, number)
                self._writers.append(writer)
                self._writing.append(asyncio.create_task(writer.run()))
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_writing()
        tasks = [*self._listening.values(), *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def findings(self) -> tuple[Findings, ...]:
        """Stops writing, and compares what was acknowledged with what is there; area by area."""
        await self._stop_writing()
        now = asyncio.get_running_loop().time()
        found = []
        for notes in self._notes.values():
            notes.pauses.ended(now)
            try:
                account, unread = notes.ledger.compare(await listed(self.scene.urls, notes)), ""
            except (ClientError, TimeoutError) as error:
                account, unread = None, str(error) or "no replica has the tick of the last acknowledgement"
            found.append(notes.findings(account, unread, now))
            await clear(self.scene.urls, notes)
        return tuple(found)

    async def _stop_writing(self) -> None:
        for task in self._writing:
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        await asyncio.gather(*(writer.finish() for writer in self._writers))
        self._writing, self._writers = [], []

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            try:
                self.scene = await self._world.look()
            except WorldError:
                continue  # it may be what is tried; that the world is whole again is asked for elsewhere
            self._listen()

    def _listen(self) -> None:
        """To every simulator that there is, and to none that is gone."""
        urls = set(self.scene.urls)
        for url in urls - self._listening.keys():
            self._listening[url] = asyncio.create_task(Listener(url, self._notes.get).run())
        for url in self._listening.keys() - urls:
            self._listening.pop(url).cancel()
        for pod in self.scene.pods:
            if pod.component == SIMULATOR:
                for area, notes in self._notes.items():
                    notes.labels.label(pod.name, active=pod.area == area and pod.role == "active")


def _from_either(scene: Scene, area: str) -> tuple[tuple[str, ...], ...]:
    """All simulators twice: once the area's active first, once its passive."""
    orders = []
    for role in ("active", "passive"):
        first = [pod.url for pod in scene.pods if pod.area == area and pod.role == role and pod.url]
        orders.append((*first, *(url for url in scene.urls if url not in first)))
    return tuple(orders)
