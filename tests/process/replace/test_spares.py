"""A replica is replaced by a spare, or comes back without its folder."""

from __future__ import annotations

import shutil
import signal

import pytest

from pairsim.client import AreaClient, ClientError, Unavailable, new_id
from pairsim.model.commands import Command
from pairsim.model.status import Role
from tests.harness import TOKEN, Node, Trio, reachable, until
from tests.process.traffic import flowing
from tests.process.trios import replaced, role_of, spare_of


async def test_a_spare_takes_a_lost_replicas_place_and_the_lost_one_retires(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        active, passive = await trio.redundant()
        spare = await spare_of(trio)
        passive.kill()
        await replaced(trio, active, spare)
        passive.start()
        await until(lambda: is_role(passive, Role.SPARE), "the lost replica is a spare")
        await until(lambda: has_no_files(passive), "it has forgotten the area")
        await traffic.moved_on()
        active.kill()  # the newcomer can do alone, with the witness, what it joined for
        await traffic.moved_on()
        active.start()


async def test_the_lost_active_is_replaced_while_it_is_away(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        active, passive = await trio.redundant()
        spare = await spare_of(trio)
        active.signal(signal.SIGSTOP)
        await traffic.moved_on()
        await replaced(trio, passive, spare)
        active.signal(signal.SIGCONT)
        await until(lambda: is_role(active, Role.SPARE), "the lost replica is a spare")


async def has_no_files(node: Node) -> bool:
    return not list(node.folder.glob("areas/*/*"))


async def test_one_replacement_may_follow_the_other(trio: Trio) -> None:
    """Members of the first generation still look for each other while one of them waits to join the third."""
    async with flowing(trio) as traffic:
        for _ in range(2):
            active, passive = await trio.redundant()
            spare = await spare_of(trio)
            passive.signal(signal.SIGSTOP)
            await replaced(trio, active, spare)
            passive.signal(signal.SIGCONT)
            await until(lambda node=passive: is_role(node, Role.SPARE), "who was replaced is a spare")
            await traffic.moved_on()


async def test_who_retires_may_join_again_at_once(trio: Trio) -> None:
    async with flowing(trio):
        active, passive = await trio.redundant()
        spare = await spare_of(trio)
        passive.signal(signal.SIGSTOP)
        await replaced(trio, active, spare)
        passive.signal(signal.SIGCONT)
        await until(lambda: is_role(passive, Role.SPARE), "who was replaced is a spare")
        spare.kill()
        await replaced(trio, active, passive)
        spare.start()
        await until(lambda: is_role(spare, Role.SPARE), "who was replaced is a spare")
        passive.kill()
        passive.start()
        await trio.redundant()
        assert "caught up" not in passive.log()[passive.said :], "its journal was gone"


async def is_role(node: Node, role: Role) -> bool:
    return await role_of(node) is role


async def test_a_replica_that_lost_its_folder_is_made_whole(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        active, passive = await trio.redundant()
        active.kill()
        await traffic.moved_on()
        await come_back_empty(active)
        assert await role_of(active) is Role.SPARE
        await trio.assign(trio.assignment, (active.name,))
        await trio.redundant()
        assert "caught up with the leader" in active.log()[active.said :]
        passive.kill()
        await traffic.moved_on()
        passive.start()


async def test_a_replica_that_lost_its_folder_does_not_vote(trio: Trio) -> None:
    async with flowing(trio) as traffic:
        active, passive = await trio.redundant()
        passive.kill()
        await traffic.moved_on()  # acknowledged by the active and the witness alone
        active.signal(signal.SIGSTOP)
        await come_back_empty(passive)
        await trio.assign(trio.assignment, (passive.name,))
        async with AreaClient([passive.url], token=TOKEN, deadline=2.0) as client:
            with pytest.raises(Unavailable):
                await client.send([Command(new_id(), "spawn", 1)])
        assert await role_of(passive) is Role.JOINING
        witness = await trio.nodes["w"].client.witness_status()
        assert witness.areas[0].leader is None
        active.signal(signal.SIGCONT)


async def test_a_witness_that_lost_its_folder_votes_when_it_has_caught_up(trio: Trio) -> None:
    witness = trio.nodes["w"]
    async with flowing(trio) as traffic:
        witness.kill()
        await traffic.moved_on()
        await come_back_empty(witness)
        await trio.assign(trio.assignment, ("w",))
        await until(lambda: caught_up(witness), "the witness votes")
        active, _passive = await trio.redundant()
        active.kill()
        await traffic.moved_on()
        active.start()


async def caught_up(node: Node) -> bool:
    return "caught up with the leader" in node.log()[node.said :]


async def come_back_empty(node: Node) -> None:
    """Starts a process whose folder is gone."""
    node.kill()
    shutil.rmtree(node.folder)
    node.start()
    await until(lambda: reachable(node), f"{node.name} answers")


async def test_an_order_for_a_generation_that_is_over_is_refused(trio: Trio) -> None:
    active, passive = await trio.redundant()
    over, spare = trio.assignment, await spare_of(trio)
    passive.kill()
    following = await replaced(trio, active, spare)
    with pytest.raises(ClientError, match=f"generation {following.generation} is in force"):
        await active.client.assign(over)
    passive.start()
    await until(lambda: is_role(passive, Role.SPARE), "who was replaced is a spare")
