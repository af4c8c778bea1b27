"""The client of a world: it finds the areas of entities by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from pairsim.client.errors import CommandsRefused, Unavailable
from pairsim.client.http import ClosingClient, HttpClient
from pairsim.client.locating import locate
from pairsim.client.world.atlas import Atlas
from pairsim.client.world.courier import Courier
from pairsim.client.world.dispatch import Attempts, Dispatch, plan
from pairsim.client.world.map_keeper import MapKeeper
from pairsim.client.world.whereabouts import Whereabouts
from pairsim.model.commands import MAX_BATCH, Command, Result
from pairsim.model.geometry import Box
from pairsim.protocol.bounds import selection_query
from pairsim.protocol.frames import LocateAnswer

if TYPE_CHECKING:
    from pairsim.client.world.merge import WorldFrame

MOST_COMMANDS = 100_000
"""Commands of all callers that may be under way; further callers wait."""


class WorldClient(ClosingClient):
    """Sends commands to the entities of a world, and observes it; use it as an async context manager.

    The client reads which areas there are from any process of the world. It sends each command to the area of its
    entity, and a spawn to the area whose cell holds its position.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        plane: str | None = None,
        deadline: float = 10.0,
        position_dtype: str = "float32",
    ) -> None:
        """Opens nothing yet.

        Args:
            urls: Bases of the HTTP APIs of any processes of the world: `pairsim up`, controllers, or replicas.
            plane: The name of the plane; None if the world has a single one.
            deadline: Seconds that a call may take altogether.
            position_dtype: The numpy dtype of the component `position`, in which areas compare it with their cells.

        Raises:
            ValueError: `urls` is empty.
        """
        if not urls:
            raise ValueError("the client needs the URL of at least one process")
        self._deadline = deadline
        self._http = HttpClient()
        self._atlas = Atlas(plane, position_dtype)
        self._whereabouts, self._attempts = Whereabouts(), Attempts()
        self._keeper = MapKeeper(self._http, [url.rstrip("/") for url in urls], self._atlas, self._on_map)
        self._couriers: dict[str, Courier] = {}
        self._closing: set[asyncio.Future[None]] = set()
        self._under_way = 0
        self._room = asyncio.Condition()

    async def close(self) -> None:
        """Closes all connections; commands that are under way fail."""
        await self._keeper.close()
        couriers, self._couriers = list(self._couriers.values()), {}
        await asyncio.gather(*(courier.close() for courier in couriers), *self._closing)
        await self._http.close()

    async def send(self, commands: Sequence[Command]) -> list[Result]:
        """Has commands committed by the areas of their entities, once each, and returns a result per command in order.

        A call holds at most 10,000 commands. Those of one area go into one tick together; those of different areas do
        not. A command whose entity is in no area is rejected. To send commands again after an error, use the same ids.
        May be called concurrently.

        Raises:
            CommandsRefused: An area refused its commands, which can never be valid, or no area has a cell that holds
                the position of a spawn. Nothing of the refused part was applied.
            Overloaded: An area takes no more commands at the moment; nothing of its part was applied.
            Unavailable: An area did not answer before the deadline. Its attribute `unknown` holds the ids of commands
                that may have been applied.

        All of them have the attribute `answered`, with the results of the other areas.
        """
        if not commands:
            return []
        if len(commands) > MAX_BATCH:
            raise CommandsRefused(f"a call takes at most {MAX_BATCH:,} commands: send them in parts")
        end = asyncio.get_running_loop().time() + self._deadline
        await self._keeper.ready(end)
        errands = plan(commands, self._atlas, self._whereabouts, self._attempts)
        await self._enter(len(commands), end)
        try:
            dispatch = Dispatch(errands, self._atlas, self._whereabouts, self._deliver, self._keeper.hurry)
            return await dispatch.run(end)
        finally:
            for errand in errands:
                self._attempts.note(errand)
            await self._leave(len(commands))

    async def observe(
        self,
        box: Box | tuple[Sequence[float], Sequence[float]] | None = None,
        *,
        components: Sequence[str] = (),
        hz: float | None = None,
        hold_seconds: float = 2.0,
    ) -> AsyncGenerator[WorldFrame, None]:
        """Follows the entities in a box of the world, as one sequence of frames, whichever areas they are in.

        The first frame is a keyframe of all areas that answer within 2 s; each later frame is a difference.
        `pairsim.protocol.interest.apply` adds frames up to the content of the box. An entity that crosses from area to
        area is in it once, all the time. Ticks are those of the area that the frame names.

        Args:
            box: The half-open box, or its lower and its upper corner in metres, with 2 or 3 axes; None for all
                entities.
            components: Names of the components that are wanted; all if empty.
            hz: Frames per second and area at most; None for a frame at every tick of every area.
            hold_seconds: How long an entity that moved to another area stays without being shown there, as it was seen
                last. Then it leaves as `unseen`: it is outside of the box, or still on its way.

        Raises:
            RequestRefused: A name, bound or rate is not valid (400), or the box holds too many entities of an area
                (413).
            Unavailable: No process has a map, or no area showed anything new before the deadline. While some areas show
                something, the others are named in `silent`.
        """
        from pairsim.client.world.merge import WorldMerge  # noqa: PLC0415 - it needs numpy, the rest does not
        from pairsim.client.world.streams import WorldStreams  # noqa: PLC0415 - likewise

        low, high = (box.min, box.max) if isinstance(box, Box) else box or (None, None)
        await self._keeper.ready(asyncio.get_running_loop().time() + self._deadline)
        query = selection_query(low, high, components, hz)
        merge = WorldMerge(hold_seconds, self._whereabouts.note, lambda area: self._atlas.reaches(area, low, high))
        async with aclosing(WorldStreams(self._atlas, query, merge, seconds=self._deadline).frames()) as frames:
            async for frame in frames:
                yield frame

    async def locate(self, entity: int) -> LocateAnswer | None:
        """Returns the area of an entity, with its position if it is not on its way; None if no area has it.

        Raises:
            RequestRefused: The id is not valid: it must be within 0 to 2**63 - 1.
            Unavailable: No process has a map, or the entity may be in an area that does not answer.
        """
        end = asyncio.get_running_loop().time() + self._deadline
        await self._keeper.ready(end)
        found = await locate(self._http, self._atlas.cells, entity, end - asyncio.get_running_loop().time())
        if found is None:
            self._whereabouts.forget(entity)
        elif found.area:
            self._whereabouts.note(entity, found.area)
        return found

    async def _deliver(self, area: str, urls: Sequence[str], commands: Sequence[Command], end: float) -> list[Result]:
        known = self._atlas.urls(area) or list(urls)
        courier = self._couriers.get(area)
        if courier is None:
            courier = self._couriers[area] = Courier(area, known)
        elif known and not courier.urls:
            courier.update(known)
        if not courier.urls:
            self._keeper.hurry()
        try:
            return await courier.send(commands, end)
        except Unavailable:
            self._keeper.hurry()
            raise

    def _on_map(self) -> None:
        """Takes the URLs of the newest map. An area that it does not have keeps its courier until all is answered."""
        names = set(self._atlas)
        for area, courier in list(self._couriers.items()):
            urls = self._atlas.urls(area)
            if urls:
                courier.update(urls)
            elif area not in names and courier.idle:
                del self._couriers[area]
                closing = asyncio.ensure_future(courier.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    async def _enter(self, count: int, end: float) -> None:
        """Waits until the commands that are under way leave room for more."""
        async with self._room:
            try:
                async with asyncio.timeout_at(end):
                    await self._room.wait_for(lambda: self._under_way + count <= MOST_COMMANDS)
            except TimeoutError:
                raise Unavailable(
                    f"{self._under_way:,} commands were under way until the deadline: nothing was sent"
                ) from None
            self._under_way += count

    async def _leave(self, count: int) -> None:
        async with self._room:
            self._under_way -= count
            self._room.notify_all()
