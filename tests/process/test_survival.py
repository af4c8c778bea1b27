"""Real processes, real signals: nothing acknowledged is lost, nothing seen is undone."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pairsim.model.assignment import Assignment, ReplicaStatus, Role
from pairsim.model.commands import Command, Status
from pairsim.network.client import AreaClient, new_id
from tests.harness import Node, Trio, spec, until

FIRST = 10_000_000


class Stream:
    """Spawns entities as fast as they are acknowledged, and watches every tick, until told to stop."""

    def __init__(self, client: AreaClient) -> None:
        self.client = client
        self.acknowledged: dict[int, int] = {}
        self.seen: list[tuple[int, int]] = []
        self._stop = asyncio.Event()

    async def send(self) -> None:
        number = FIRST
        while not self._stop.is_set():
            batch = [Command(new_id(), "spawn", number + n, {"position": [1.0, 2.0, 3.0]}) for n in range(5)]
            for command, result in zip(batch, await self.client.send(batch), strict=True):
                assert result.status is Status.APPLIED, result
                self.acknowledged[command.entity] = result.tick
            number += 5

    async def watch(self) -> None:
        async for frame in self.client.observe((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)):
            self.seen.append((frame.term, frame.tick))
            if self._stop.is_set():
                return

    async def moved_on(self) -> None:
        """Waits for a command that is sent and acknowledged from now on."""
        before = max(self.acknowledged, default=FIRST) + 10
        await until(lambda: self._beyond(before), "commands are acknowledged again")

    async def _beyond(self, number: int) -> bool:
        return max(self.acknowledged, default=FIRST) > number

    def stop(self) -> None:
        self._stop.set()


@asynccontextmanager
async def flowing(trio: Trio) -> AsyncIterator[Stream]:
    """Commands and an observer while something is done to the pair; then the checks."""
    stream = Stream(trio.client)
    tasks = [asyncio.create_task(stream.send()), asyncio.create_task(stream.watch())]
    try:
        await stream.moved_on()
        yield stream
        await stream.moved_on()
        stream.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 20)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert stream.seen == sorted(set(stream.seen)), "an observer saw a tick or a term go back"
    await check(trio, stream.acknowledged)


async def check(trio: Trio, acknowledged: dict[int, int]) -> None:
    """Everything acknowledged is there, and both replicas are the same."""
    active, passive = await trio.redundant()
    entities = {entity.id for entity in await listing(active.client)}
    assert acknowledged.keys() <= entities
    statuses = await trio.statuses()
    assert all(status.divergences == 0 for status in statuses.values())
    newest = min(statuses[active.name].tick, statuses[passive.name].synced_tick)
    mine = await active.client.digests(max(0, newest - 50), newest)
    theirs = await passive.client.digests(max(0, newest - 50), newest)
    same = mine.keys() & theirs.keys()
    assert same
    assert all(mine[tick] == theirs[tick] for tick in same)


async def listing(client: AreaClient) -> list[object]:
    """All entities that the stream spawned."""
    found, after = [], FIRST - 1
    while True:
        page = await client.entities(limit=1000, after=after)
        found += page.entities
        if page.next is None:
            return found  # type: ignore[return-value]
        after = page.next


async def gone_passive(node: Node) -> ReplicaStatus | None:
    status = await node.status()
    return status if status is not None and status.role is Role.PASSIVE and status.in_sync else None


async def test_kill_9_of_the_active_again_and_again(tmp_path: Path) -> None:
    async with Trio(tmp_path, spec(tick_rate=30)) as trio, flowing(trio) as stream:
        for _ in range(4):
            active, passive = await trio.redundant()
            active.kill()
            await stream.moved_on()
            status = await passive.status()
            assert status is not None
            assert status.role is Role.ACTIVE
            active.start()


async def test_a_hung_active_is_passed_over_and_says_nothing_new_when_it_wakes(tmp_path: Path) -> None:
    async with Trio(tmp_path, spec(tick_rate=30)) as trio, flowing(trio) as stream:
        active, passive = await trio.redundant()
        active.signal(signal.SIGSTOP)
        await stream.moved_on()
        status = await passive.status()
        assert status is not None
        assert status.role is Role.ACTIVE
        active.signal(signal.SIGCONT)
        await until(lambda: gone_passive(active), "the old active is a passive in sync")


async def test_witness_and_passive_may_hang(tmp_path: Path) -> None:
    async with Trio(tmp_path, spec(tick_rate=30)) as trio, flowing(trio) as stream:
        _active, passive = await trio.redundant()
        for node in (passive, trio.nodes["w"]):
            node.signal(signal.SIGSTOP)
            await stream.moved_on()
            node.signal(signal.SIGCONT)
            await trio.redundant()


async def test_a_spare_takes_a_lost_replicas_place_and_the_lost_one_retires(tmp_path: Path) -> None:
    async with Trio(tmp_path, spec(tick_rate=30), spares=1) as trio, flowing(trio) as stream:
        active, passive = await trio.redundant()
        passive.kill()
        spare = trio.nodes["s1"]
        following = Assignment(
            spec=trio.area, generation=2, replicas=(active.member, spare.member),
            witness=trio.nodes["w"].member, joins=(spare.name,),
        )  # fmt: skip

        async def replaced() -> bool:
            await trio.assign(following, (spare.name, active.name))
            status = await active.status()
            return status is not None and status.generation == 2 and status.peer_in_sync

        await until(replaced, "the spare has joined")
        passive.start()
        await until(lambda: is_spare(passive), "the lost replica is a spare")
        await stream.moved_on()


async def is_spare(node: Node) -> bool:
    status = await node.status()
    return status is not None and status.role is Role.SPARE


async def test_everything_is_killed_and_goes_on_from_there(tmp_path: Path) -> None:
    async with Trio(tmp_path, spec(tick_rate=30)) as trio:
        async with flowing(trio) as stream:
            pass
        for node in trio.nodes.values():
            node.kill()
        for node in trio.nodes.values():
            node.start()
        active, _passive = await trio.redundant(60)
        status = await active.status()
        assert status is not None
        assert status.tick >= stream.seen[-1][1]
        await check(trio, stream.acknowledged)


async def test_a_told_stop_hands_over_first(tmp_path: Path) -> None:
    async with Trio(tmp_path, spec(tick_rate=30)) as trio, flowing(trio) as stream:
        active, _passive = await trio.redundant()
        assert active.process is not None
        active.signal(signal.SIGTERM)
        assert await asyncio.to_thread(active.process.wait, 15) == 0
        assert "handed over" in active.log()
        await stream.moved_on()
        active.start()


async def test_everything_listens_on_loopback_only(tmp_path: Path) -> None:
    async with Trio(tmp_path, spec()) as trio:
        ports = {int(x.split(":")[1]) for node in trio.nodes.values() for x in (node.http, node.peer)}
        assert await asyncio.to_thread(listeners, ports) == ["0100007F"] * len(ports)


def listeners(ports: set[int]) -> list[str]:
    """The addresses, as the kernel writes them, at which somebody listens on one of the ports."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, port = line.split()[1].split(":")
            if line.split()[3] == "0A" and int(port, 16) in ports:
                found.append(address)
    return found
