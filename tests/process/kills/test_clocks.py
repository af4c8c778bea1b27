"""The clocks of a replica jump by ten minutes and back, as a fault that shifts the clocks of a container makes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests import shifted_clocks
from tests.harness import Node, RunningPair
from tests.process.shared_pairs import wide_area
from tests.process.traffic import under_traffic

_SHIFT_SECONDS = 600
_ROUNDS = 3


class ShiftedNode(Node):
    """A process whose clocks can be shifted while it runs."""

    def __init__(self, name: str, folder: Path, library: Path) -> None:
        super().__init__(name, folder)
        self.clocks = shifted_clocks.ShiftedClocks(library, folder / f"{name}.shift")
        self.prefix = ("env", *(f"{key}={value}" for key, value in self.clocks.environment.items()))


@pytest.fixture
def shifting_library(tmp_path: Path) -> Path:
    return shifted_clocks.build(tmp_path)


@pytest_asyncio.fixture(loop_scope="session")
async def shifted_pair(tmp_path: Path, shifting_library: Path) -> AsyncIterator[RunningPair]:
    def node(name: str, folder: Path) -> ShiftedNode:
        return ShiftedNode(name, folder, shifting_library)

    async with RunningPair(tmp_path, wide_area(), node=node) as pair:
        yield pair


async def test_the_clocks_of_the_active_jump_and_return(shifted_pair: RunningPair) -> None:
    async with under_traffic(shifted_pair) as traffic:
        for _round in range(_ROUNDS):
            active, _passive = await shifted_pair.wait_until_redundant()
            assert isinstance(active, ShiftedNode)
            active.clocks.shift(_SHIFT_SECONDS)
            await traffic.wait_for_progress()
            await shifted_pair.wait_until_redundant()
            active.clocks.shift(0)
            await traffic.wait_for_progress()
            await shifted_pair.wait_until_redundant()
