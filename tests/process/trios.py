"""The areas and processes that process tests run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pairsim.model.assignment import AreaSpec
from pairsim.model.geometry import Box
from tests.harness import Node, Trio

_TAIL = 40


def wide(tick_rate: float = 30.0) -> AreaSpec:
    """An area in which nothing that these tests move ever reaches an edge."""
    edge = 1e6
    box = Box(min=(-edge, -edge, -edge), max=(edge, edge, edge))
    return AreaSpec(
        area="area", plane="plane", simulator="physics", seed=7, tick_rate=tick_rate, bounds=box, world=box, entities=50
    )


@asynccontextmanager
async def shown(trio: Trio) -> AsyncIterator[Trio]:
    """Runs a pair; a test that fails shows the last lines of its processes' logs."""
    try:
        async with trio:
            yield trio
    finally:
        for node in trio.nodes.values():
            print(f"--- {node.name}", *node.log().splitlines()[-_TAIL:], sep="\n")  # noqa: T201 - pytest shows it


async def role_of(node: Node) -> str | None:
    """What a process says that it is; None while it cannot be reached."""
    status = await node.status()
    return None if status is None else status.role
