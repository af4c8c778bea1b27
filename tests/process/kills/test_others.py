"""The passive or the witness ends or hangs, or two or all three at once."""

from __future__ import annotations

import signal

import pytest

from pairsim.client import AreaClient, Unavailable, new_id
from pairsim.model.commands import Command
from pairsim.model.status import Role
from tests.harness import TOKEN, Node, Trio, until
from tests.process.traffic import check, flowing
from tests.process.trios import role_of


async def test_passive_and_witness_may_hang(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        _active, passive = await trio.redundant()
        for node in (passive, trio.nodes["w"]):
            node.signal(signal.SIGSTOP)
            await traffic.moved_on()
            node.signal(signal.SIGCONT)
            await trio.redundant()


async def test_without_the_witness_the_pair_goes_on_and_the_witness_catches_up(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        witness = trio.nodes["w"]
        witness.kill()
        await traffic.moved_on()
        witness.start()
        missed = traffic.last
        await until(lambda: witness_has(witness, missed), "the witness has caught up")


async def witness_has(witness: Node, tick: int) -> bool:
    """Whether the witness's log reaches a tick."""
    try:
        status = await witness.client.witness_status()
    except Unavailable:
        return False
    return bool(status.areas) and status.areas[0].tick >= tick


@pytest.mark.parametrize("first_back", ["witness", "active"])
async def test_one_of_three_is_no_majority(trio: Trio, first_back: str) -> None:
    async with flowing(trio) as traffic:
        active, passive = await trio.redundant()
        both = {"witness": trio.nodes["w"], "active": active}
        for node in both.values():
            node.kill()
        async with AreaClient([passive.url], token=TOKEN, deadline=2.0) as lonely:
            with pytest.raises(Unavailable):
                await lonely.send([Command(new_id(), "spawn", 1)])
        assert await role_of(passive) is Role.PASSIVE
        both.pop(first_back).start()
        await traffic.moved_on()
        for node in both.values():
            node.start()


@pytest.mark.parametrize("whole", [False, True], ids=["both replicas", "all three"])
async def test_what_is_killed_at_once_goes_on_from_there(trio: Trio, whole: bool) -> None:
    async with flowing(trio) as traffic:
        pass
    killed = [*await trio.redundant(), *([trio.nodes["w"]] if whole else [])]
    for node in killed:
        node.kill()
    for node in killed:
        node.start()
    active, _passive = await trio.redundant(60)
    status = await active.status()
    assert status is not None
    assert (status.term, status.tick) >= traffic.seen[-1]
    assert status.tick >= traffic.seen[-1][1]
    await check(trio, traffic)


async def test_both_replicas_are_killed_in_the_middle_of_the_stream(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        replicas = await trio.redundant()
        for node in replicas:
            node.kill()
        for node in replicas:
            node.start()
        await traffic.moved_on(30)
