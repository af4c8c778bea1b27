"""Planned changes of the active while commands flow."""

from __future__ import annotations

from pairsim.model.status import Role
from tests.harness import Trio
from tests.process.traffic import flowing
from tests.process.trios import role_of


async def test_switchovers_under_load(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        for _ in range(3):
            active, passive = await trio.redundant()
            before = await active.client.status()
            done = await traffic.client.switchover()
            assert done.term > before.term
            assert await role_of(passive) is Role.ACTIVE
            assert await role_of(active) is Role.PASSIVE
            await traffic.moved_on()


async def test_the_new_active_may_die_right_after_a_switchover(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        _active, passive = await trio.redundant()
        await traffic.client.switchover()
        passive.kill()
        await traffic.moved_on()
        passive.start()
