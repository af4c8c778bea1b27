"""Pairs that process tests share.

Starting a pair takes seconds of processor time, so tests use the same pair one after another. A test that finds the
pair not redundant, because an earlier test failed, gets a new one.
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
from tests.harness import Node, RunningPair, until

_TAIL = 60
FREQUENT_CHECKPOINTS = ("--checkpoint-seconds", "1")


def wide_area(tick_rate: float = 30.0) -> AreaSpec:
    """Returns an area so large that no entity of these tests ever reaches an edge."""
    edge = 1e6
    box = Box(min=(-edge, -edge, -edge), max=(edge, edge, edge))
    return AreaSpec(
        area="area", plane="plane", simulator="physics", seed=7, tick_rate=tick_rate, bounds=box, world=box, entities=50
    )


def local_node(name: str, folder: Path) -> Node:
    """Returns a process on loopback; a simulator writes a checkpoint every second."""
    return Node(name, folder, options=() if name.startswith("w") else FREQUENT_CHECKPOINTS)


class SharedPair:
    """A pair that test after test borrows."""

    def __init__(
        self, folder: Callable[[], Path], *, spares: int = 0, node: Callable[[str, Path], Node] = local_node
    ) -> None:
        """`folder` returns a new folder for each pair that is started."""
        self._folder, self._spares, self._node = folder, spares, node
        self._pair: RunningPair | None = None

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[RunningPair]:
        """Yields a redundant pair, then prints what its processes logged; pytest shows that for a failed test."""
        pair = await self._healthy()
        marks = {name: len(node.log()) for name, node in pair.nodes.items()}
        yield pair
        for name, node in pair.nodes.items():
            print(f"--- {name}", *node.log()[marks[name] :].splitlines()[-_TAIL:], sep="\n")  # noqa: T201 - pytest shows it

    async def close(self) -> None:
        """Kills the processes."""
        if self._pair is not None:
            await self._pair.close()
            self._pair = None

    async def _healthy(self) -> RunningPair:
        if self._pair is not None:
            try:
                await self._pair.wait_until_redundant(10)
            except AssertionError:
                await self.close()
        if self._pair is None:
            self._pair = await RunningPair(self._folder(), wide_area(), self._spares, node=self._node).__aenter__()
        return self._pair


async def role_of(node: Node) -> str | None:
    """Returns the role that a process reports; None while it cannot be reached."""
    status = await node.status()
    return None if status is None else status.role


async def find_spare(pair: RunningPair) -> Node:
    """Waits for a process without an area, and returns it."""

    async def look() -> Node | None:
        statuses = await pair.statuses()
        return next((pair.nodes[name] for name, status in statuses.items() if status.role is Role.SPARE), None)

    return await until(look, "there is a spare")


async def replace_replica(pair: RunningPair, survivor: Node, spare: Node) -> Assignment:
    """Opens the next generation with a survivor and a spare; like the controller, repeats the assignment until then."""
    following = msgspec.structs.replace(
        pair.assignment, generation=pair.assignment.generation + 1, replicas=(survivor.member, spare.member),
        joins=(spare.name,),
    )  # fmt: skip

    async def look() -> bool:
        await pair.assign(following, (spare.name, survivor.name))
        status = await survivor.status()
        return status is not None and status.generation == following.generation and status.peer_in_sync

    await until(look, "the spare has joined", 30)
    pair.assignment = following
    return following
