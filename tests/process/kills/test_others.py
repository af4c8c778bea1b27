"""The passive or the witness is killed or hangs, or several processes are killed at once."""

from __future__ import annotations

import signal

import pytest

from pairsim.client import AreaClient, Unavailable, new_id
from pairsim.model.commands import Command
from pairsim.model.status import Role
from tests.harness import TOKEN, Node, RunningPair, until
from tests.process.shared_pairs import role_of
from tests.process.traffic import check, under_traffic


async def test_passive_and_witness_may_hang(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        _active, passive = await pair.wait_until_redundant()
        for node in (passive, pair.nodes["w"]):
            node.signal(signal.SIGSTOP)
            await traffic.wait_for_progress()
            node.signal(signal.SIGCONT)
            await pair.wait_until_redundant()


async def test_the_pair_continues_without_the_witness_which_catches_up_later(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        witness = pair.nodes["w"]
        witness.kill()
        await traffic.wait_for_progress()
        witness.start()
        missed = traffic.last
        await until(lambda: witness_has(witness, missed), "the witness has caught up")


async def witness_has(witness: Node, tick: int) -> bool:
    """Returns whether the witness's log reaches a tick."""
    try:
        status = await witness.client.witness_status()
    except Unavailable:
        return False
    return bool(status.areas) and status.areas[0].tick >= tick


@pytest.mark.parametrize("first_back", ["witness", "active"])
async def test_one_of_three_acknowledges_nothing(pair: RunningPair, first_back: str) -> None:
    async with under_traffic(pair) as traffic:
        active, passive = await pair.wait_until_redundant()
        both = {"witness": pair.nodes["w"], "active": active}
        for node in both.values():
            node.kill()
        async with AreaClient([passive.url], token=TOKEN, deadline=2.0) as lonely:
            with pytest.raises(Unavailable):
                await lonely.send([Command(new_id(), "spawn", 1)])
        assert await role_of(passive) is Role.PASSIVE
        both.pop(first_back).start()
        await traffic.wait_for_progress()
        for node in both.values():
            node.start()


@pytest.mark.parametrize("with_witness", [False, True], ids=["both replicas", "all three"])
async def test_processes_that_are_killed_at_once_resume_at_the_same_tick(pair: RunningPair, with_witness: bool) -> None:
    async with under_traffic(pair) as traffic:
        pass
    killed = [*await pair.wait_until_redundant(), *([pair.nodes["w"]] if with_witness else [])]
    for node in killed:
        node.kill()
    for node in killed:
        node.start()
    active, _passive = await pair.wait_until_redundant(60)
    status = await active.status()
    assert status is not None
    assert (status.term, status.tick) >= traffic.seen[-1]
    assert status.tick >= traffic.seen[-1][1]
    await check(pair, traffic)


async def test_both_replicas_are_killed_under_traffic(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        replicas = await pair.wait_until_redundant()
        for node in replicas:
            node.kill()
        for node in replicas:
            node.start()
        await traffic.wait_for_progress(30)
