"""Links are cut: the majority continues, and a replica outside of it publishes nothing new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from pairsim.model.status import Role
from tests.harness import Node, RunningPair, until
from tests.process.links.namespaces import Network, built, missing
from tests.process.shared_pairs import SharedPair, role_of
from tests.process.traffic import Traffic, under_traffic

pytestmark = pytest.mark.root

_PROGRESS_TICKS = 15
"""How many ticks the majority must advance while a cut replica is watched."""

_ATTEMPTS = 3
"""On a starved machine an election may happen without any cut, so a test fails only if each attempt has one."""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """A network of three namespaces."""
    if reason := missing():
        pytest.skip(reason)
    with built(["a", "b", "w"]) as network:
        yield network


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def spread(network: Network, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SharedPair]:
    """A shared pair and its witness, each in its own namespace."""

    def node(name: str, folder: Path) -> Node:
        return Node(name, folder, host=network.host[name], prefix=network.prefix(name))

    shared_pair = SharedPair(partial(tmp_path_factory.mktemp, "links"), node=node)
    yield shared_pair
    await shared_pair.close()


@pytest_asyncio.fixture(loop_scope="session")
async def apart(network: Network, spread: SharedPair) -> AsyncIterator[RunningPair]:
    """The pair in namespaces, redundant, with all links open."""
    network.heal()
    async with spread.borrow() as pair:
        yield pair


@pytest.mark.parametrize("way", ["both ways", "outgoing", "incoming"])
async def test_an_isolated_active_is_replaced_and_falls_silent(network: Network, apart: RunningPair, way: str) -> None:
    async with under_traffic(apart) as traffic:
        active, passive = await apart.wait_until_redundant()
        others = [passive.name, "w"]
        if way != "incoming":
            network.cut([active.name], others)
        if way != "outgoing":
            network.cut(others, [active.name])
        await traffic.wait_for_progress()
        assert await role_of(passive) is Role.ACTIVE
        await until(partial(is_not_active, active), "the cut replica no longer reports to be the active")
        await wait_until_still(active, traffic)
        network.heal()
        await apart.wait_until_redundant()


async def test_a_reconnected_passive_causes_no_election(network: Network, apart: RunningPair) -> None:
    async with under_traffic(apart) as traffic:
        for _ in range(_ATTEMPTS):
            active, passive = await apart.wait_until_redundant()
            network.cut_both([passive.name], [active.name, "w"])
            await until(partial(alone, active), "the active reports that no peer is in sync")
            before = await active.client.status()
            await traffic.wait_for_progress()
            network.heal()
            await apart.wait_until_redundant()
            after = await active.client.status()
            if (after.role, after.term) == (Role.ACTIVE, before.term):
                return
    raise AssertionError("each attempt had an election")


async def wait_until_still(cut: Node, traffic: Traffic) -> None:
    """Waits until a cut replica stays at its tick while the others advance; packets in flight may still arrive."""
    await until(partial(_stayed_still, cut, traffic), "the cut replica stays at its tick while the others advance")


async def _stayed_still(cut: Node, traffic: Traffic) -> bool:
    before = await cut.client.status()
    mark = max(traffic.last, before.tick)

    async def advanced() -> bool:
        return traffic.last > mark + _PROGRESS_TICKS

    await until(advanced, "the others advance")
    after = await cut.client.status()
    return (after.tick, after.synced_tick) == (before.tick, before.synced_tick)


async def is_not_active(node: Node) -> bool:
    return await role_of(node) not in {None, Role.ACTIVE}


@pytest.mark.parametrize("way", ["both ways", "to the passive", "to the active"])
async def test_the_active_continues_with_the_witness_when_the_replicas_are_cut(
    network: Network, apart: RunningPair, way: str
) -> None:
    async with under_traffic(apart) as traffic:
        for _ in range(_ATTEMPTS):
            active, passive = await apart.wait_until_redundant()
            if way != "to the active":
                network.cut([active.name], [passive.name])
            if way != "to the passive":
                network.cut([passive.name], [active.name])
            await until(partial(alone, active), "the active reports that no peer is in sync")
            await traffic.wait_for_progress()
            undisturbed = await role_of(active) is Role.ACTIVE
            if undisturbed:
                await until(partial(_stayed_still, passive, traffic), "the passive stays at its tick")
            network.heal()
            await apart.wait_until_redundant()
            if undisturbed:
                return
    raise AssertionError("each attempt had another active")


async def alone(node: Node) -> bool:
    status = await node.status()
    return status is not None and not status.peer_in_sync


async def test_the_pair_continues_without_a_cut_witness(network: Network, apart: RunningPair) -> None:
    async with under_traffic(apart) as traffic:
        active, _passive = await apart.wait_until_redundant()
        network.cut_both(["w"], ["a", "b"])
        await until(partial(alone, active), "the active reports that a vote is missing")
        await traffic.wait_for_progress()
        network.heal()
        await apart.wait_until_redundant()


async def test_the_pair_continues_when_active_and_witness_are_cut(network: Network, apart: RunningPair) -> None:
    async with under_traffic(apart) as traffic:
        active, _passive = await apart.wait_until_redundant()
        network.cut_both([active.name], ["w"])
        await until(partial(alone, active), "the active reports that a vote is missing")
        await traffic.wait_for_progress()
        network.heal()
        await apart.wait_until_redundant()


async def test_no_replica_is_active_while_all_links_are_cut(network: Network, apart: RunningPair) -> None:
    async with under_traffic(apart) as traffic:
        replicas = await apart.wait_until_redundant()
        network.cut_both(["a"], ["b", "w"])
        network.cut_both(["b"], ["w"])
        for node in replicas:
            await until(partial(is_not_active, node), f"{node.name} does not report to be the active")
        network.heal()
        await traffic.wait_for_progress()


async def test_the_active_dies_while_it_is_cut_from_the_passive(network: Network, apart: RunningPair) -> None:
    """The passive lags in this case, so it has to get the log from the witness before it takes over."""
    async with under_traffic(apart) as traffic:
        active, passive = await apart.wait_until_redundant()
        network.cut_both([active.name], [passive.name])
        await until(partial(alone, active), "the active reports that no peer is in sync")
        await traffic.wait_for_progress()
        active.kill()
        await traffic.wait_for_progress()
        assert await role_of(passive) is Role.ACTIVE
        network.heal()
        active.start()
