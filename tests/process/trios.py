"""The pairs that process tests work on.

To start one takes seconds of processor time, so tests use one after another the same one; whoever finds it not
redundant (a test before failed) gets a new one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.geometry import Box
from pairsim.model.status import Role
from tests.harness import Node, Trio, until

_TAIL = 60
_CHECKPOINTS = ("--checkpoint-seconds", "1")


def wide(tick_rate: float = 30.0) -> AreaSpec:
    """An area in which nothing that these tests move ever reaches an edge."""
    edge = 1e6
    box = Box(min=(-edge, -edge, -edge), max=(edge, edge, edge))
    return AreaSpec(
        area="area", plane="plane", simulator="physics", seed=7, tick_rate=tick_rate, bounds=box, world=box, entities=50
    )


def local(name: str, folder: Path) -> Node:
    """A process on loopback; a simulator writes checkpoints often."""
    return Node(name, folder, options=() if name.startswith("w") else _CHECKPOINTS)


class Shared:
    """Lends one pair to test after test."""

    def __init__(
        self, folder: Callable[[], Path], *, spares: int = 0, node: Callable[[str, Path], Node] = local
    ) -> None:
        """`folder` makes a new folder for each pair that is needed."""
        self._folder, self._spares, self._node = folder, spares, node
        self._trio: Trio | None = None

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Trio]:
        """A redundant pair; a test that fails shows what its processes logged meanwhile."""
        trio = await self._healthy()
        marks = {name: len(node.log()) for name, node in trio.nodes.items()}
        yield trio
        for name, node in trio.nodes.items():
            print(f"--- {name}", *node.log()[marks[name] :].splitlines()[-_TAIL:], sep="\n")  # noqa: T201 - pytest shows it

    async def close(self) -> None:
        """Ends the processes."""
        if self._trio is not None:
            await self._trio.close()
            self._trio = None

    async def _healthy(self) -> Trio:
        if self._trio is not None:
            try:
                await self._trio.redundant(10)
            except AssertionError:
                await self.close()
        if self._trio is None:
            self._trio = await Trio(self._folder(), wide(), self._spares, node=self._node).__aenter__()
        return self._trio


async def role_of(node: Node) -> str | None:
    """What a process says that it is; None while it cannot be reached."""
    status = await node.status()
    return None if status is None else status.role


async def spare_of(trio: Trio) -> Node:
    """A process without an area."""

    async def look() -> Node | None:
        statuses = await trio.statuses()
        return next((trio.nodes[name] for name, status in statuses.items() if status.role is Role.SPARE), None)

    return await until(look, "there is a spare")


async def replaced(trio: Trio, survivor: Node, spare: Node) -> Assignment:
    """Opens the next generation with a survivor and a spare, as the controller does: told until it is so."""
    following = msgspec.structs.replace(
        trio.assignment, generation=trio.assignment.generation + 1, replicas=(survivor.member, spare.member),
        joins=(spare.name,),
    )  # fmt: skip

    async def look() -> bool:
        await trio.assign(following, (spare.name, survivor.name))
        status = await survivor.status()
        return status is not None and status.generation == following.generation and status.peer_in_sync

    await until(look, "the spare has joined", 30)
    trio.assignment = following
    return following
