"""Cut links: whoever is with the majority goes on, whoever is not says nothing new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from pairsim.model.assignment import Role
from tests.harness import Node, Trio, until
from tests.process.links.namespaces import Network, missing, network
from tests.process.traffic import Traffic, flowing
from tests.process.trios import role_of, shown, wide

pytestmark = pytest.mark.root

_MORE = 15
"""Ticks that the majority goes on by while a cut replica is looked at."""


@pytest.fixture(scope="module")
def links() -> Iterator[Network]:
    """Three namespaces on a bridge."""
    if reason := missing():
        pytest.skip(reason)
    with network(["a", "b", "w"]) as links:
        yield links


@pytest.fixture
async def apart(links: Network, tmp_path: Path) -> AsyncIterator[Trio]:
    """A pair and its witness, each in a namespace of its own."""
    links.heal()

    def node(name: str, folder: Path) -> Node:
        return Node(name, folder, host=links.host[name], prefix=links.prefix(name))

    async with shown(Trio(tmp_path, wide(), node=node)) as trio:
        yield trio


@pytest.mark.parametrize("way", ["both ways", "outgoing", "incoming"])
async def test_an_active_cut_from_both_others_is_passed_over_and_falls_silent(
    links: Network, apart: Trio, way: str
) -> None:
    async with flowing(apart) as traffic:
        active, passive = await apart.redundant()
        others = [passive.name, "w"]
        if way != "incoming":
            links.cut([active.name], others)
        if way != "outgoing":
            links.cut(others, [active.name])
        await traffic.moved_on()
        assert await role_of(passive) is Role.ACTIVE
        await until(partial(is_not_active, active), "the cut one no longer says that it is the active")
        assert await stands_still(active, traffic)
        links.heal()
        await apart.redundant()
        assert await role_of(passive) is Role.ACTIVE, "a member that comes back must not disturb"


async def stands_still(cut: Node, traffic: Traffic) -> bool:
    """Whether a cut replica's newest tick stays while the others go on."""
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
    links: Network, apart: Trio, way: str
) -> None:
    async with flowing(apart) as traffic:
        active, passive = await apart.redundant()
        if way != "to the active":
            links.cut([active.name], [passive.name])
        if way != "to the passive":
            links.cut([passive.name], [active.name])
        await until(partial(alone, active), "the active knows that it is alone")
        await traffic.moved_on()
        assert await role_of(active) is Role.ACTIVE
        await until(partial(stands_still, passive, traffic), "what was sent to the passive before the cut has arrived")
        links.heal()
        await apart.redundant()


async def alone(node: Node) -> bool:
    status = await node.status()
    return status is not None and not status.peer_in_sync


async def test_a_witness_that_is_cut_off_is_not_missed(links: Network, apart: Trio) -> None:
    async with flowing(apart) as traffic:
        active, _passive = await apart.redundant()
        links.cut_both(["w"], ["a", "b"])
        await until(partial(alone, active), "the active knows that there is no third vote")
        await traffic.moved_on()
        assert await role_of(active) is Role.ACTIVE
        links.heal()
        await apart.redundant()


async def test_a_cut_between_active_and_witness_changes_nothing_for_the_pair(links: Network, apart: Trio) -> None:
    async with flowing(apart) as traffic:
        active, _passive = await apart.redundant()
        links.cut_both([active.name], ["w"])
        await until(partial(alone, active), "the active knows that there is no third vote")
        await traffic.moved_on()
        assert await role_of(active) is Role.ACTIVE
        links.heal()
        await apart.redundant()


async def test_nobody_goes_on_while_all_links_are_cut(links: Network, apart: Trio) -> None:
    async with flowing(apart) as traffic:
        replicas = await apart.redundant()
        links.cut_both(["a"], ["b", "w"])
        links.cut_both(["b"], ["w"])
        for node in replicas:
            await until(partial(is_not_active, node), f"{node.name} does not say that it is the active")
        links.heal()
        await traffic.moved_on()


async def test_the_active_dies_while_it_is_cut_from_the_passive(links: Network, apart: Trio) -> None:
    """The passive lags then: it has to get the log from the witness before it goes on."""
    async with flowing(apart) as traffic:
        active, passive = await apart.redundant()
        links.cut_both([active.name], [passive.name])
        await until(partial(alone, active), "the active knows that it is alone")
        await traffic.moved_on()
        active.kill()
        await traffic.moved_on()
        assert await role_of(passive) is Role.ACTIVE
        links.heal()
        active.start()
