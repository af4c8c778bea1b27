"""The probe: everything that is sent to a world and listened to in it while experiments run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from types import TracebackType
from typing import Self

from pairsim.client import ClientError
from pairsim_chaos.probe.area import AreaNotes, Findings
from pairsim_chaos.probe.observer import Listener
from pairsim_chaos.probe.writer import Writer, clear, listed
from pairsim_chaos.target import Scene, World, WorldError

_LOOK = 0.25
_EVIDENCE = 5.0
"""Seconds that a short run may take longer until both replicas of each area told digests of the same ticks."""


class Probe:
    """Of one world; use it as an async context manager.

    Attributes:
        scene: The newest look at the world.
        lost_at: When an area was first seen not redundant, in seconds of the loop's clock; 0 if none was.
        whole_at: When all areas were redundant again, for good as far as was seen.
    """

    def __init__(self, world: World) -> None:
        """Nothing is sent yet."""
        self._world = world
        self._notes: dict[str, AreaNotes] = {}
        self._uncleared: list[AreaNotes] = []
        self._writers: dict[tuple[str, int], Writer] = {}
        self._writing: list[asyncio.Task[None]] = []
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._watching: list[asyncio.Task[None]] = []
        self.scene = Scene((), ())
        self.lost_at = self.whole_at = 0.0

    async def __aenter__(self) -> Self:
        """Begins to listen and to write.

        Raises:
            WorldError: The world does not answer, or none of its simulators has an address yet.
        """
        loop = asyncio.get_running_loop()
        self.scene = await self._world.look()
        if self.scene.places and not self.scene.urls:
            raise WorldError("no simulator of the world runs yet")
        for place in self.scene.places:
            self._notes[place.area] = AreaNotes(place.area, place.bounds, now=loop.time(), unix=time.time())
        self._uncleared = list(self._notes.values())
        self._listen()
        for place in self.scene.places:
            for number, urls in enumerate(_from_either(self.scene, place.area)):
                writer = Writer(self._notes[place.area], urls, number)
                self._writers[place.area, number] = writer
                self._writing.append(asyncio.create_task(writer.run()))
        self._watching = [
            asyncio.create_task(self._look()),
            asyncio.create_task(self._world.labels(self._labelled)),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop_writing()
        await self._clear()
        tasks = [*self._listening.values(), *self._watching]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def findings(self) -> tuple[Findings, ...]:
        """Compares what was acknowledged with what is there, while commands go on; no area waits for a slow one."""
        return tuple(await asyncio.gather(*map(self._compared, self._notes.values())))

    async def conclude(self) -> tuple[Findings, ...]:
        """The same after the last command; then the probe's entities are taken away again."""
        await self._stop_writing()
        now = asyncio.get_running_loop().time()
        for notes in self._notes.values():
            notes.pauses.ended(now)
        for _ in range(int(_EVIDENCE / _LOOK)):
            if all(notes.digests.compared for notes in self._notes.values()):
                break
            await asyncio.sleep(_LOOK)
        found = await self.findings()
        await self._clear()
        return found

    async def _clear(self) -> None:
        """Once: what a probe that is broken off has written is taken away, too."""
        notes, self._uncleared = self._uncleared, []
        await asyncio.gather(*(clear(self.scene.urls, each) for each in notes))

    async def _compared(self, notes: AreaNotes) -> Findings:
        claims, account, unread = notes.ledger.claims(), None, ""
        try:
            account = notes.ledger.compare(await listed(self.scene.urls, notes), claims)
        except (ClientError, TimeoutError) as error:
            unread = str(error) or "no replica has the tick of the last acknowledgement"
        return notes.findings(account, unread, asyncio.get_running_loop().time())

    @property
    def areas(self) -> set[str]:
        """That are probed."""
        return set(self._notes)

    @property
    def missing(self) -> str:
        """Why the world is not whole, as far as was seen; empty if it is."""
        return missing(self.scene)

    def broken(self) -> str:
        """What does not hold at this moment, as far as it can be told without reading the state; empty if all does."""
        now = asyncio.get_running_loop().time()
        for notes in self._notes.values():
            wrong = notes.broken(now)
            if wrong:
                return wrong
        return ""

    async def refresh(self) -> None:
        """Takes a look now; one that fails leaves the scene as it was."""
        with contextlib.suppress(WorldError):
            self._see(await self._world.look())

    async def _stop_writing(self) -> None:
        for task in self._writing:
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)
        await asyncio.gather(*(writer.finish() for writer in self._writers.values()))
        self._writing, self._writers = [], {}

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            await self.refresh()

    def _see(self, scene: Scene) -> None:
        now = asyncio.get_running_loop().time()
        self.scene = scene
        if self.missing:
            self.lost_at, self.whole_at = self.lost_at or now, 0.0
        else:
            self.whole_at = self.whole_at or now
        self._listen()
        self._reach()

    def _reach(self) -> None:
        """Pods come and go, all those of the first look too; while there are none, the old ones are tried."""
        if self.scene.urls:
            for (area, number), writer in self._writers.items():
                writer.reach(_from_either(self.scene, area)[number])

    def _listen(self) -> None:
        """To every simulator that there is, and to none that is gone."""
        urls = set(self.scene.urls)
        for url in urls - self._listening.keys():
            self._listening[url] = asyncio.create_task(Listener(url, self._notes.get).run())
        for url in self._listening.keys() - urls:
            self._listening.pop(url).cancel()

    def _labelled(self, area: str, active: frozenset[str]) -> None:
        notes = self._notes.get(area)
        if notes is not None:
            notes.labels.seen(active)


def missing(scene: Scene) -> str:
    """Why a world is not whole; empty if it is."""
    lacking = [place for place in scene.places if not place.redundant]
    return "; ".join(f"{place.area}: {place.missing or 'it is not redundant'}" for place in lacking)


def _from_either(scene: Scene, area: str) -> tuple[tuple[str, ...], ...]:
    """All simulators twice: once the area's active first, once its passive."""
    orders = []
    for role in ("active", "passive"):
        first = [pod.url for pod in scene.pods if pod.area == area and pod.role == role and pod.url]
        orders.append((*first, *(url for url in scene.urls if url not in first)))
    return tuple(orders)
