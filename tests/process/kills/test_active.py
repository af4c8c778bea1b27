"""The active ends, hangs or is told to stop: the passive goes on, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import defaultdict

from pairsim.client import Unavailable
from pairsim.model.status import Role
from tests.harness import Node, Trio, until
from tests.process.traffic import flowing
from tests.process.trios import role_of


async def test_kill_9_of_the_active_again_and_again(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        for _ in range(4):
            active, passive = await trio.redundant()
            active.kill()
            await traffic.moved_on()
            assert await role_of(passive) is Role.ACTIVE
            active.start()


async def test_a_hung_active_is_passed_over_and_says_nothing_new_when_it_wakes(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        active, passive = await trio.redundant()
        active.signal(signal.SIGSTOP)
        await traffic.moved_on()
        assert await role_of(passive) is Role.ACTIVE
        active.signal(signal.SIGCONT)
        await until(lambda: in_sync(active), "the old active is a passive in sync")


async def test_an_active_that_hangs_for_a_moment_again_and_again_does_no_harm(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        for _ in range(3):
            active, _passive = await trio.redundant()
            active.signal(signal.SIGSTOP)
            await asyncio.sleep(0.2)  # about an election timeout: whether there is a takeover is left to chance
            active.signal(signal.SIGCONT)
            await traffic.moved_on()


async def test_an_active_that_wakes_does_not_call_itself_active_in_the_term_of_the_next(trio: Trio) -> None:
    said: defaultdict[int, set[str]] = defaultdict(set)

    async def listen(node: Node) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                async for status in node.client.watch():
                    if status.role is Role.ACTIVE:
                        said[status.term].add(status.replica)
            await asyncio.sleep(0.01)

    listening = [asyncio.create_task(listen(node)) for node in trio.nodes.values() if node.name != "w"]
    try:
        for _ in range(8):
            active, _passive = await trio.redundant()
            terms = len(said)
            active.signal(signal.SIGSTOP)
            await until(lambda terms=terms: asyncio.sleep(0, len(said) > terms), "there is another active")
            active.signal(signal.SIGCONT)
            await until(lambda active=active: in_sync(active), "the old active is a passive in sync")
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    assert len(said) >= 8
    assert {term: who for term, who in said.items() if len(who) > 1} == {}


async def test_a_passive_that_lags_makes_up_for_what_it_missed_before_it_goes_on(trio: Trio) -> None:
    """Only the witness has the records that were committed while it hung."""
    async with flowing(trio) as traffic:
        active, passive = await trio.redundant()
        passive.signal(signal.SIGSTOP)
        await traffic.moved_on()
        await traffic.moved_on()
        active.kill()
        passive.signal(signal.SIGCONT)
        await traffic.moved_on()
        assert await role_of(passive) is Role.ACTIVE
        active.start()


async def test_a_told_stop_hands_over_first(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        active, _passive = await trio.redundant()
        assert active.process is not None
        active.signal(signal.SIGTERM)
        assert await asyncio.to_thread(active.process.wait, 15) == 0
        assert "handed over" in active.log()[active.said :]
        await traffic.moved_on()
        active.start()


async def in_sync(node: Node) -> bool:
    """Whether a replica is a passive that could take over."""
    status = await node.status()
    return status is not None and status.role is Role.PASSIVE and status.in_sync
