"""A replica is replaced by a spare, or restarts without its folder."""

from __future__ import annotations

import shutil
import signal

import pytest

from pairsim.client import AreaClient, ClientError, Unavailable, new_id
from pairsim.model.commands import Command
from pairsim.model.status import Role
from tests.harness import TOKEN, Node, RunningPair, reachable, until
from tests.process.shared_pairs import find_spare, replace_replica, role_of
from tests.process.traffic import under_traffic


async def test_a_spare_replaces_a_lost_replica_which_becomes_a_spare(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        active, passive = await pair.wait_until_redundant()
        spare = await find_spare(pair)
        passive.kill()
        await replace_replica(pair, active, spare)
        passive.start()
        await until(lambda: is_role(passive, Role.SPARE), "the lost replica is a spare")
        await until(lambda: has_no_files(passive), "the lost replica has deleted the area's files")
        await traffic.wait_for_progress()
        active.kill()  # the newcomer must take over with the witness alone
        await traffic.wait_for_progress()
        active.start()


async def test_the_lost_active_is_replaced_while_it_is_away(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        active, passive = await pair.wait_until_redundant()
        spare = await find_spare(pair)
        active.signal(signal.SIGSTOP)
        await traffic.wait_for_progress()
        await replace_replica(pair, passive, spare)
        active.signal(signal.SIGCONT)
        await until(lambda: is_role(active, Role.SPARE), "the lost replica is a spare")


async def has_no_files(node: Node) -> bool:
    return not list(node.folder.glob("areas/*/*"))


async def test_two_replacements_may_follow_each_other(pair: RunningPair) -> None:
    """Members of the first generation still dial each other while one of them waits to join the third."""
    async with under_traffic(pair) as traffic:
        for _ in range(2):
            active, passive = await pair.wait_until_redundant()
            spare = await find_spare(pair)
            passive.signal(signal.SIGSTOP)
            await replace_replica(pair, active, spare)
            passive.signal(signal.SIGCONT)
            await until(lambda node=passive: is_role(node, Role.SPARE), "the replaced replica is a spare")
            await traffic.wait_for_progress()


async def test_a_retired_replica_may_join_again_at_once(pair: RunningPair) -> None:
    async with under_traffic(pair):
        active, passive = await pair.wait_until_redundant()
        spare = await find_spare(pair)
        passive.signal(signal.SIGSTOP)
        await replace_replica(pair, active, spare)
        passive.signal(signal.SIGCONT)
        await until(lambda: is_role(passive, Role.SPARE), "the replaced replica is a spare")
        spare.kill()
        await replace_replica(pair, active, passive)
        spare.start()
        await until(lambda: is_role(spare, Role.SPARE), "the replaced replica is a spare")
        passive.kill()
        passive.start()
        await pair.wait_until_redundant()
        assert "caught up" not in passive.log()[passive.log_start :], (
            "the journal of its earlier membership was deleted"
        )


async def is_role(node: Node, role: Role) -> bool:
    return await role_of(node) is role


async def test_a_replica_that_lost_its_folder_recovers(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        active, passive = await pair.wait_until_redundant()
        active.kill()
        await traffic.wait_for_progress()
        await restart_empty(active)
        assert await role_of(active) is Role.SPARE
        await pair.assign(pair.assignment, (active.name,))
        await pair.wait_until_redundant()
        assert "caught up with the leader" in active.log()[active.log_start :]
        passive.kill()
        await traffic.wait_for_progress()
        passive.start()


async def test_a_replica_that_lost_its_folder_does_not_vote(pair: RunningPair) -> None:
    async with under_traffic(pair) as traffic:
        active, passive = await pair.wait_until_redundant()
        passive.kill()
        await traffic.wait_for_progress()  # these commands are on the active and the witness only
        active.signal(signal.SIGSTOP)
        await restart_empty(passive)
        await pair.assign(pair.assignment, (passive.name,))
        async with AreaClient([passive.url], token=TOKEN, deadline=2.0) as client:
            with pytest.raises(Unavailable):
                await client.send([Command(new_id(), "spawn", 1)])
        assert await role_of(passive) is Role.JOINING
        witness = await pair.nodes["w"].client.witness_status()
        assert witness.areas[0].leader is None
        active.signal(signal.SIGCONT)


async def test_a_witness_that_lost_its_folder_votes_when_it_has_caught_up(pair: RunningPair) -> None:
    witness = pair.nodes["w"]
    async with under_traffic(pair) as traffic:
        witness.kill()
        await traffic.wait_for_progress()
        await restart_empty(witness)
        await pair.assign(pair.assignment, ("w",))
        await until(lambda: caught_up(witness), "the witness votes")
        active, _passive = await pair.wait_until_redundant()
        active.kill()
        await traffic.wait_for_progress()
        active.start()


async def caught_up(node: Node) -> bool:
    return "caught up with the leader" in node.log()[node.log_start :]


async def restart_empty(node: Node) -> None:
    """Kills a process, deletes its folder, and starts it again."""
    node.kill()
    shutil.rmtree(node.folder)
    node.start()
    await until(lambda: reachable(node), f"{node.name} answers")


async def test_an_assignment_to_an_earlier_generation_is_refused(pair: RunningPair) -> None:
    active, passive = await pair.wait_until_redundant()
    over, spare = pair.assignment, await find_spare(pair)
    passive.kill()
    following = await replace_replica(pair, active, spare)
    with pytest.raises(ClientError, match=f"generation {following.generation} is in force"):
        await active.client.assign(over)
    passive.start()
    await until(lambda: is_role(passive, Role.SPARE), "the replaced replica is a spare")
