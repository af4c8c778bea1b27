"""The engine of an active ends while its node goes on: an orderly handover, and no acknowledged command is lost."""

from __future__ import annotations

import os
import signal

import pytest

from pairsim.model.status import ReplicaStatus, Succession
from tests.harness import Node, RunningPair, until
from tests.process.traffic import under_traffic


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
async def test_the_engine_of_the_active_is_killed_repeatedly(pair: RunningPair, number: signal.Signals) -> None:
    async with under_traffic(pair) as traffic:
        for _ in range(3):
            active, passive = await pair.wait_until_redundant()
            await engine_of(passive)
            before = await engine_of(active)
            assert before.engine_pid is not None
            os.kill(before.engine_pid, number)
            await traffic.wait_for_progress()
            after = await until(lambda passive=passive, before=before: took_over(passive, before), "it handed over")
            assert (after.term, after.succession) == (before.term + 1, Succession.HANDED_OVER)
            assert (await engine_of(active, before.engine_pid)).pid == before.pid, "the node has ended, too"


async def engine_of(node: Node, other_than: int = 0) -> ReplicaStatus:
    """Waits until a replica uses an engine, other than one that has ended, and returns its status."""

    async def look() -> ReplicaStatus | None:
        status = await node.status()
        uses = status is not None and status.engine_pid not in {None, other_than} and status.simulator is None
        return status if uses else None

    return await until(look, f"{node.name} uses an engine")


async def took_over(node: Node, before: ReplicaStatus) -> ReplicaStatus | None:
    """Returns the status of a replica in a later term than that of another one; None before."""
    status = await node.status()
    return status if status is not None and status.leader == node.name and status.term > before.term else None
