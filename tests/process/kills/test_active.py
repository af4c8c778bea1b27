"""The active is killed, hangs or is stopped: the passive takes over, and no acknowledged command is lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import defaultdict

from pairsim.client import Unavailable
from pairsim.model.status import Role
from tests.harness import Node, RunningPair, until
from tests.process.shared_pairs import role_of
from tests.process.traffic import under_traffic


async def test_the_active_is_killed_repeatedly(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        for _ in range(4):
            active, passive = await pair.wait_until_redundant()
            active.kill()
            await traffic.wait_for_progress()
            assert await role_of(passive) is Role.ACTIVE
            active.start()


async def test_a_hung_active_is_replaced_and_publishes_nothing_when_it_wakes(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        active, passive = await pair.wait_until_redundant()
        active.signal(signal.SIGSTOP)
        await traffic.wait_for_progress()
        assert await role_of(passive) is Role.ACTIVE
        active.signal(signal.SIGCONT)
        await until(lambda: in_sync(active), "the old active is a passive in sync")


async def test_an_active_that_hangs_repeatedly_for_a_moment_does_no_harm(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        for _ in range(3):
            active, _passive = await pair.wait_until_redundant()
            active.signal(signal.SIGSTOP)
            await asyncio.sleep(0.2)  # about an election timeout, so a takeover may happen or not
            active.signal(signal.SIGCONT)
            await traffic.wait_for_progress()


async def test_a_term_has_one_active_while_actives_hang_and_wake(pair: RunningPair) -> None:
    actives: defaultdict[int, set[str]] = defaultdict(set)

    async def listen(node: Node) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                async for status in node.client.watch():
                    if status.role is Role.ACTIVE:
                        actives[status.term].add(status.replica)
            await asyncio.sleep(0.01)

    listening = [asyncio.create_task(listen(node)) for node in pair.nodes.values() if node.name != "w"]
    try:
        for _ in range(8):
            active, _passive = await pair.wait_until_redundant()
            terms = len(actives)
            active.signal(signal.SIGSTOP)
            await until(lambda terms=terms: asyncio.sleep(0, len(actives) > terms), "there is another active")
            active.signal(signal.SIGCONT)
            await until(lambda active=active: in_sync(active), "the old active is a passive in sync")
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    assert len(actives) >= 8
    assert {term: names for term, names in actives.items() if len(names) > 1} == {}


async def test_a_lagging_passive_catches_up_before_it_takes_over(pair: RunningPair) -> None:
    """Only the witness has the records that were committed while the passive hung."""
    async with under_traffic(pair) as traffic:
        active, passive = await pair.wait_until_redundant()
        passive.signal(signal.SIGSTOP)
        await traffic.wait_for_progress()
        await traffic.wait_for_progress()
        active.kill()
        passive.signal(signal.SIGCONT)
        await traffic.wait_for_progress()
        assert await role_of(passive) is Role.ACTIVE
        active.start()


async def test_a_stopping_active_hands_over_first(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        active, _passive = await pair.wait_until_redundant()
        assert active.process is not None
        active.signal(signal.SIGTERM)
        assert await asyncio.to_thread(active.process.wait, 15) == 0
        assert "handed over" in active.log()[active.log_start :]
        await traffic.wait_for_progress()
        active.start()


async def in_sync(node: Node) -> bool:
    """Returns whether a replica is a passive that could take over."""
    status = await node.status()
    return status is not None and status.role is Role.PASSIVE and status.in_sync
