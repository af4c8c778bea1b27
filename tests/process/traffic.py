"""Clients of a pair during a fault, and the checks that must hold for them afterwards."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import xxhash

from pairsim.client import AreaClient, ClientError, Session, Unavailable, new_id
from pairsim.model.commands import Command, Result, Status
from pairsim.model.status import ReplicaStatus
from pairsim.protocol.frames import Entity
from pairsim.protocol.interest import AreaSnapshot, apply
from tests.harness import TOKEN, Node, RunningPair, until

_FIRST = 10_000_000
_PER_TEST = 1_000_000
_WORKERS = 3
_PER_WORKER = 100_000
_RETRIES = 4
_SENT_AGAIN = 500
Place = tuple[float, float, float]


class Traffic:
    """A client that sends unique commands as fast as they are acknowledged, and observers of the pair and its replicas.

    Attributes:
        counter: An entity whose velocity counts its impulses, which shows if a command is applied twice.
        places: The positions to which acknowledged commands moved entities.
        impulses: The number of acknowledged impulses to the counter.
        seen: Term and tick of each frame that the observer of the pair received.
        last: The newest tick of a result.
    """

    _numbers = itertools.count(_FIRST, _PER_TEST)

    def __init__(self, pair: RunningPair) -> None:
        self.counter = next(self._numbers)
        self.first = self.counter + 1
        self._replicas = [node for name, node in pair.nodes.items() if not name.startswith("w")]
        self.client = AreaClient(
            [node.url for node in self._replicas], token=TOKEN, tick_rate=pair.area.tick_rate, deadline=20.0
        )
        self.places: dict[int, Place] = {}
        self.impulses = 0
        self.seen: list[tuple[int, int]] = []
        self.last = 0
        self._contents: dict[int, int] = {}
        self._violations: list[str] = []
        self._answered: deque[tuple[Sequence[Command], list[int]]] = deque(maxlen=_SENT_AGAIN)
        self._started = self._newest = 0
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Starts; returns when commands are acknowledged and all observers see ticks."""
        await self._send(self.client, [Command(new_id(), "spawn", self.counter)])
        self._tasks = [
            *(asyncio.create_task(self._work(worker)) for worker in range(_WORKERS)),
            asyncio.create_task(self._observe_pair()),
            *(asyncio.create_task(self._observe(node)) for node in self._replicas),
        ]
        await self.wait_for_progress()
        await until(self._sees, "the observer sees ticks")

    async def finish(self) -> None:
        """Stops, and checks what the observers saw."""
        self._stop.set()
        await asyncio.wait_for(asyncio.gather(*self._tasks[:_WORKERS]), 30)
        await self._send_again()
        await until(self._sees_all, "the observer sees the last tick that was acknowledged")
        await self.close()
        assert self.seen == sorted(set(self.seen)), "an observer saw a tick or a term go back"
        assert not self._violations

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.client.close()

    async def wait_for_progress(self, seconds: float = 20.0) -> None:
        """Waits until a command that is sent from now on is acknowledged."""
        mark = self._started

        async def look() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
            return self._newest > mark

        await until(look, "commands are acknowledged again", seconds)

    async def _sees(self) -> bool:
        return bool(self.seen)

    async def _sees_all(self) -> bool:
        return self.seen[-1][1] >= self.last

    # --- commands

    async def _work(self, worker: int) -> None:
        offset, before = worker * _PER_WORKER, None
        async with self.client.session() as session:
            while not self._stop.is_set():
                offset += 1
                entity = self.first + offset
                batch = [
                    Command(new_id(), "spawn", entity, {"position": [1.0, 2.0, 3.0]}),
                    Command(new_id(), "impulse", self.counter, {"impulse": [1.0, 0.0, 0.0]}),
                ]
                if before is not None:
                    place = (float(offset), float(worker), 7.0)
                    batch.append(Command(new_id(), "set", before, {"position": list(place)}))
                self._started += 1
                number = self._started
                self.last = max(self.last, await self._send(session, batch))
                self._newest = max(self._newest, number)
                self.places[entity] = (1.0, 2.0, 3.0)
                self.impulses += 1
                if before is not None:
                    self.places[before] = place
                before = entity

    async def _send(self, through: AreaClient | Session, batch: Sequence[Command]) -> int:
        """Sends a batch until it is applied, and returns its newest tick."""
        for attempt in range(_RETRIES):
            try:
                results = await through.send(batch)
            except Unavailable:
                if attempt == _RETRIES - 1:
                    raise
            else:
                tick = _tick_of(results, again=attempt > 0)
                self._answered.append((batch, [result.tick for result in results]))
                return tick
        raise AssertionError("unreachable")

    async def _send_again(self) -> None:
        """Sends acknowledged commands again: every active must know them and answer with the same ticks."""
        commands = [command for batch, _ticks in self._answered for command in batch]
        ticks = [tick for _batch, ticks in self._answered for tick in ticks]
        results = await self.client.send(commands)
        # A client that had to ask a second replica takes a duplicate for its own command; the tick distinguishes them.
        assert {result.status for result in results} <= {Status.DUPLICATE, Status.APPLIED}
        assert [result.tick for result in results] == ticks

    # --- observers

    async def _observe_pair(self) -> None:
        content = None
        async for frame in self.client.observe():
            content = apply(content, frame)
            self.seen.append((frame.term, frame.tick))
            self._saw("the pair's observer", content)

    async def _observe(self, node: Node) -> None:
        """Observes one replica and reconnects for as long as the test lasts."""
        async with AreaClient([node.url], token=TOKEN, deadline=1.0) as client:
            while True:
                content = None
                try:
                    async for frame in client.observe():
                        content = apply(content, frame)
                        self._saw(f"the observer of {node.name}", content)
                except ClientError:
                    await asyncio.sleep(0.1)

    def _saw(self, who: str, content: AreaSnapshot) -> None:
        order = np.argsort(content.ids)
        state = xxhash.xxh3_64(content.ids[order].tobytes())
        for _name, column in sorted(content.columns.items()):
            state.update(column[order].tobytes())
        if self._contents.setdefault(content.tick, state.intdigest()) != state.intdigest():
            self._violations.append(f"{who} saw another state of tick {content.tick} than an earlier observer")


def _tick_of(results: Sequence[Result], *, again: bool) -> int:
    for result in results:
        known = result.status is Status.DUPLICATE and again
        assert result.status is Status.APPLIED or (known and not result.reason), result
    return max(result.tick for result in results)


@asynccontextmanager
async def under_traffic(pair: RunningPair) -> AsyncIterator[Traffic]:
    """Sends commands and observes during the body, then runs all checks."""
    traffic = Traffic(pair)
    try:
        await traffic.start()
        yield traffic
        await traffic.wait_for_progress()
        await traffic.finish()
    finally:
        await traffic.close()
    await check(pair, traffic)


async def check(pair: RunningPair, traffic: Traffic) -> None:
    """Checks that the pair is redundant, that its replicas agree, and that both hold every command exactly once."""
    active, passive = await pair.wait_until_redundant(60)
    await until(lambda: reached(passive, traffic.last), "the passive has every acknowledged tick")
    for node in (active, passive):
        async with AreaClient([node.url], deadline=30.0) as client:
            entities = await listing(client, traffic.first)
            counter = await client.entity(traffic.counter)
        assert {number: entities.get(number) for number in traffic.places} == traffic.places
        assert counter is not None
        velocity = counter.components["velocity"]
        assert isinstance(velocity, list)
        assert velocity[0] == traffic.impulses
    statuses = await pair.statuses()
    assert all(status.divergences == 0 for status in statuses.values())
    newest = statuses[passive.name].synced_tick
    mine = await active.client.digests(max(0, newest - 50), newest)
    theirs = await passive.client.digests(max(0, newest - 50), newest)
    same = mine.keys() & theirs.keys()
    assert same
    assert all(mine[tick] == theirs[tick] for tick in same)


async def reached(node: Node, tick: int) -> ReplicaStatus | None:
    """Returns a replica's status once its state has reached a tick; None before."""
    status = await node.status()
    return status if status is not None and status.synced_tick >= tick else None


async def listing(client: AreaClient, first: int) -> dict[int, Place]:
    """Returns the positions of the entities that one test's traffic spawned."""
    found: list[Entity] = []
    after: int | None = first - 1
    while after is not None and after < first + _PER_TEST:
        page = await client.entities(limit=10_000, after=after)
        found += page.entities
        after = page.next
    return {entity.id: _place(entity) for entity in found}


def _place(entity: Entity) -> Place:
    x, y, z = entity.components["position"]  # type: ignore[misc]
    return x, y, z
