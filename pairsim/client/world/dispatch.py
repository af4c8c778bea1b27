"""Sends the commands of one caller to the areas of their entities, and goes after those that moved."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from pairsim.client.errors import ClientError, CommandsRefused, Overloaded, Unavailable
from pairsim.client.world.atlas import Atlas
from pairsim.client.world.errand import Errand
from pairsim.client.world.whereabouts import Whereabouts
from pairsim.model.commands import Command, Result, Status
from pairsim.protocol.bounds import POSITION

MOST_ATTEMPTS_KEPT = 65_536

Deliver = Callable[[str, Sequence[str], Sequence[Command], float], Awaitable[list[Result]]]
"""Has commands committed by an area, which may be served at these URLs, before a deadline."""


class Attempts:
    """The attempts of commands whose way ended before an area applied them: a later call goes on with the next one."""

    def __init__(self, limit: int = MOST_ATTEMPTS_KEPT) -> None:
        self._limit = limit
        self._next: dict[str, int] = {}

    def first(self, command: str) -> int:
        """Returns the attempt to begin with."""
        return self._next.get(command, 1)

    def note(self, errand: Errand) -> None:
        """Notes how an errand ended."""
        self._next.pop(errand.id, None)
        final = errand.result is not None and errand.result.status is not Status.REJECTED
        if final or errand.attempt == 1:
            return
        self._next[errand.id] = errand.attempt
        if len(self._next) > self._limit:
            del self._next[next(iter(self._next))]


def plan(commands: Sequence[Command], atlas: Atlas, whereabouts: Whereabouts, attempts: Attempts) -> list[Errand]:
    """Returns the errands of commands, each with the area to begin with.

    A spawn goes to the area whose cell holds its position; other commands go to where their entity was seen last, or
    was spawned in the same batch. Nobody knows of the rest: they begin at one area and go on from there.

    Raises:
        CommandsRefused: No area has a cell that holds the position of a spawn.
    """
    spawned = _spawn_areas(commands, atlas)
    names = list(atlas)
    known = set(names)
    errands: list[Errand] = []
    here: dict[int, str] = {}
    for place, command in enumerate(commands):
        entity = command.entity
        area = spawned.get(place, "") or here.get(entity, "") or whereabouts.get(entity)
        if place in spawned:
            here[entity] = area
        if area not in known:
            area = names[entity % len(names)]
        errands.append(Errand(command, area, attempts.first(command.id)))
    return errands


def _spawn_areas(commands: Sequence[Command], atlas: Atlas) -> dict[int, str]:
    places, positions = [], []
    for place, command in enumerate(commands):
        if command.op == "spawn" and len(atlas) > 1:
            position = command.components.get(POSITION)
            if position is None:
                raise CommandsRefused(f"command {command.id}: a spawn needs a position, by which its area is found")
            places.append(place)
            positions.append(position if isinstance(position, list) else [position])
    owners = atlas.owners(positions)
    for place, position, owner in zip(places, positions, owners, strict=True):
        if not owner:
            raise CommandsRefused(f"command {commands[place].id}: no area's cell holds the position {position}")
    return dict(zip(places, owners, strict=True))


class Dispatch:
    """One batch on its way."""

    def __init__(
        self,
        errands: Sequence[Errand],
        atlas: Atlas,
        whereabouts: Whereabouts,
        deliver: Deliver,
        hurry: Callable[[], None],
    ) -> None:
        """Sends nothing yet.

        Args:
            errands: The errands, in the order of the commands.
            atlas: The newest map.
            whereabouts: Learns where entities are.
            deliver: Brings commands to an area.
            hurry: Called when the map is too old.
        """
        self._errands, self._atlas, self._whereabouts = errands, atlas, whereabouts
        self._deliver, self._hurry = deliver, hurry
        self._errors: list[ClientError] = []
        self._failed: set[Errand] = set()

    async def run(self, end: float) -> list[Result]:
        """Returns a result per command in their order.

        Raises:
            CommandsRefused, Overloaded, Unavailable: Some commands have no result; `answered` has the others.
        """
        loop = asyncio.get_running_loop()
        running: dict[asyncio.Task[None], list[Errand]] = {}
        idle = list(self._errands)
        try:
            while idle or running:
                now = loop.time()
                due = [errand for errand in idle if errand.due <= now or now >= end]
                idle = [errand for errand in idle if errand not in due]
                for area, together in _by_area(due).items():
                    running[asyncio.ensure_future(self._send(area, together, end))] = together
                wake = min((errand.due for errand in idle), default=end + 1.0)
                if not running:
                    await asyncio.sleep(max(wake - now, 0.0))
                    continue
                done, _ = await asyncio.wait(running, timeout=max(wake - now, 0.0), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    idle += [errand for errand in running.pop(task) if self._goes_on(errand)]
                    task.result()
        finally:
            for task in running:
                task.cancel()
        return self._results()

    def _goes_on(self, errand: Errand) -> bool:
        return errand.result is None and errand not in self._failed

    async def _send(self, area: str, errands: Sequence[Errand], end: float) -> None:
        """Sends some commands to their area, and notes its answers."""
        loop = asyncio.get_running_loop()
        urls = next((errand.urls for errand in errands if errand.urls), ())
        try:
            if loop.time() >= end:
                raise Unavailable("their entities were not found in time")
            results = await self._deliver(area, urls, [errand.command for errand in errands], end)
        except ClientError as error:
            self._errors.append(error)
            self._failed.update(errands)
            return
        names = list(self._atlas)
        for errand, result in zip(errands, results, strict=True):
            errand.take(result, names, loop.time())
            self._learn(area, errand, result)

    def _learn(self, area: str, errand: Errand, result: Result) -> None:
        entity = errand.entity
        if result.status is Status.MOVED:
            self._whereabouts.forget(entity)
            if result.area:
                self._whereabouts.note(entity, result.area)
                if not self._atlas.urls(result.area):
                    self._hurry()
        elif result.status is Status.APPLIED:
            self._whereabouts.note(entity, area)

    def _results(self) -> list[Result]:
        if not self._errors:
            return [errand.result for errand in self._errands if errand.result is not None]
        answered = tuple(errand.result for errand in self._errands if errand.result is not None)
        worst = min(self._errors, key=lambda error: _SEVERITY.get(type(error), 3))
        unknown = [one for error in self._errors if isinstance(error, Unavailable) for one in error.unknown]
        sentence = (
            str(worst) if not answered else f"{worst}; {len(answered)} of {len(self._errands)} commands have results"
        )
        raised = Unavailable(sentence, unknown) if unknown or isinstance(worst, Unavailable) else type(worst)(sentence)
        raised.answered = answered
        raise raised from worst


_SEVERITY: Mapping[type[ClientError], int] = {CommandsRefused: 0, Unavailable: 1, Overloaded: 2}


def _by_area(errands: Sequence[Errand]) -> dict[str, list[Errand]]:
    found: dict[str, list[Errand]] = {}
    for errand in errands:
        found.setdefault(errand.area, []).append(errand)
    return found
