"""Planned changes of the active under traffic."""

from __future__ import annotations

from pairsim.model.status import Role
from tests.harness import RunningPair
from tests.process.shared_pairs import role_of
from tests.process.traffic import under_traffic


async def test_switchovers_under_load(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        for _ in range(3):
            active, passive = await pair.wait_until_redundant()
            before = await active.client.status()
            done = await traffic.client.switchover()
            assert done.term > before.term
            assert await role_of(passive) is Role.ACTIVE
            assert await role_of(active) is Role.PASSIVE
            await traffic.wait_for_progress()


async def test_the_new_active_may_be_killed_right_after_a_switchover(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        _active, passive = await pair.wait_until_redundant()
        await traffic.client.switchover()
        passive.kill()
        await traffic.wait_for_progress()
        passive.start()
