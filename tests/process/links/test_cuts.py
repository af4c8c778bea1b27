"""Cut links: whoever is with the majority goes on, whoever is not says nothing new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from pairsim.model.status import Role
from tests.harness import Node, Trio, until
from tests.process.links.namespaces import Network, built, missing
from tests.process.traffic import Traffic, flowing
from tests.process.trios import Shared, role_of

pytestmark = pytest.mark.root

_MORE = 15
"""Ticks that the majority goes on by while a cut replica is looked at."""


_ATTEMPTS = 3
"""On a starved machine there is an election now and then without any cut: what must not be is one every time."""


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Three namespaces on a bridge."""
    if reason := missing():
        pytest.skip(reason)
    with built(["a", "b", "w"]) as network:
        yield network


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def spread(network: Network, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    """A pair and its witness, each in a namespace of its own."""

    def node(name: str, folder: Path) -> Node:
        return Node(name, folder, host=network.host[name], prefix=network.prefix(name))

    shared = Shared(partial(tmp_path_factory.mktemp, "links"), node=node)
    yield shared
    await shared.close()


@pytest_asyncio.fixture(loop_scope="session")
async def apart(network: Network, spread: Shared) -> AsyncIterator[Trio]:
    """The same, redundant, with all links open."""
    network.heal()
    async with spread.lent() as trio:
        yield trio


@pytest.mark.parametrize("way", ["both ways", "outgoing", "incoming"])
async def test_an_active_cut_from_both_others_is_passed_over_and_falls_silent(
    network: Network, apart: Trio, way: str
) -> None:
    async with flowing(apart) as traffic:
        active, passive = await apart.redundant()
        others = [passive.name, "w"]
        if way != "incoming":
            network.cut([active.name], others)
        if way != "outgoing":
            network.cut(others, [active.name])
        await traffic.moved_on()
        assert await role_of(passive) is Role.ACTIVE
        await until(partial(is_not_active, active), "the cut one no longer says that it is the active")
        await stands_still(active, traffic)
        network.heal()
        await apart.redundant()


async def test_a_replica_that_comes_back_disturbs_nobody(network: Network, apart: Trio) -> None:
    async with flowing(apart) as traffic:
        for _ in range(_ATTEMPTS):
            active, passive = await apart.redundant()
            network.cut_both([passive.name], [active.name, "w"])
            await until(partial(alone, active), "the active knows that it is alone")
            before = await active.client.status()
            await traffic.moved_on()
            network.heal()
            await apart.redundant()
            after = await active.client.status()
            if (after.role, after.term) == (Role.ACTIVE, before.term):
                return
    raise AssertionError("there was an election each time")


async def stands_still(cut: Node, traffic: Traffic) -> None:
    """Waits until a cut replica's newest tick stays while the others go on; what was on its way to it may arrive."""
    await until(partial(_stood_still, cut, traffic), "it stands still while the others go on")


async def _stood_still(cut: Node, traffic: Traffic) -> bool:
    before = await cut.client.status()
    mark = max(traffic.last, before.tick)

    async def went_on() -> bool:
        return traffic.last > mark + _MORE

    await until(went_on, "the others went on")
    after = await cut.client.status()
    return (after.tick, after.synced_tick) == (before.tick, before.synced_tick)


async def is_not_active(node: Node) -> bool:
    return await role_of(node) not in {None, Role.ACTIVE}


@pytest.mark.parametrize("way", ["both ways", "to the passive", "to the active"])
async def test_a_cut_between_the_replicas_leaves_the_active_to_the_witness(
    network: Network, apart: Trio, way: str
) -> None:
    async with flowing(apart) as traffic:
        for _ in range(_ATTEMPTS):
            active, passive = await apart.redundant()
            if way != "to the active":
                network.cut([active.name], [passive.name])
            if way != "to the passive":
                network.cut([passive.name], [active.name])
            await until(partial(alone, active), "the active knows that it is alone")
            await traffic.moved_on()
            undisturbed = await role_of(active) is Role.ACTIVE
            if undisturbed:
                await until(partial(_stood_still, passive, traffic), "what was on its way to the passive is there")
            network.heal()
            await apart.redundant()
            if undisturbed:
                return
    raise AssertionError("there was another active each time")


async def alone(node: Node) -> bool:
    status = await node.status()
    return status is not None and not status.peer_in_sync


async def test_a_witness_that_is_cut_off_is_not_missed(network: Network, apart: Trio) -> None:
    async with flowing(apart) as traffic:
        active, _passive = await apart.redundant()
        network.cut_both(["w"], ["a", "b"])
        await until(partial(alone, active), "the active knows that there is no third vote")
        await traffic.moved_on()
        network.heal()
        await apart.redundant()


async def test_a_cut_between_active_and_witness_leaves_the_pair_to_itself(network: Network, apart: Trio) -> None:
    async with flowing(apart) as traffic:
        active, _passive = await apart.redundant()
        network.cut_both([active.name], ["w"])
        await until(partial(alone, active), "the active knows that there is no third vote")
        await traffic.moved_on()
        network.heal()
        await apart.redundant()


async def test_nobody_goes_on_while_all_links_are_cut(network: Network, apart: Trio) -> None:
    async with flowing(apart) as traffic:
        replicas = await apart.redundant()
        network.cut_both(["a"], ["b", "w"])
        network.cut_both(["b"], ["w"])
        for node in replicas:
            await until(partial(is_not_active, node), f"{node.name} does not say that it is the active")
        network.heal()
        await traffic.moved_on()


async def test_the_active_dies_while_it_is_cut_from_the_passive(network: Network, apart: Trio) -> None:
    """The passive lags then: it has to get the log from the witness before it goes on."""
    async with flowing(apart) as traffic:
        active, passive = await apart.redundant()
        network.cut_both([active.name], [passive.name])
        await until(partial(alone, active), "the active knows that it is alone")
        await traffic.moved_on()
        active.kill()
        await traffic.moved_on()
        assert await role_of(passive) is Role.ACTIVE
        network.heal()
        active.start()
