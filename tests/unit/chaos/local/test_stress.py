"""The load on a target, computed as Chaos Mesh's own stressors do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from pairsim_chaos.experiment.faults import Memory, StressFault, Stressors
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.local.cgroups import ControlGroup
from pairsim_chaos.local.stress import MEMORY_LIMIT, StressInjection, _keep_running, unsupported_reason, workers

FILE = Path(__file__).parents[4] / "chaos" / "experiments" / "stress-memory-active.yaml"


def fault(size: str, count: int = 2) -> StressFault:
    stressors = Stressors(memory=Memory(workers=count, size=size))
    (made,) = load_experiments(FILE.read_text())
    assert isinstance(made.spec, StressFault)
    return StressFault(mode="one", selector=made.spec.selector, stressors=stressors)


def memory_of(made: StressFault) -> list[int]:
    return [int(argument) for _, argument in workers(made)]


@pytest.mark.parametrize(("count", "each"), [(1, 512_000_000), (2, 256_000_000), (4, 128_000_000)])
def test_workers_share_the_memory_equally(count: int, each: int) -> None:
    assert memory_of(fault("512MB", count)) == [each] * count


def test_a_share_of_the_nodes_memory_is_unsupported() -> None:
    assert unsupported_reason(fault("50%")).startswith("a size in % means the node's memory")


def test_the_experiment_takes_the_memory_that_a_simulator_leaves_in_its_container() -> None:
    (made,) = load_experiments(FILE.read_text())
    assert isinstance(made.spec, StressFault)
    assert sum(memory_of(made.spec)) > 0.9 * MEMORY_LIMIT


class FakeGroup:
    """A control group that takes any process."""

    def add(self, _pid: int) -> None:
        pass


async def test_a_worker_that_ends_by_itself_is_not_started_again() -> None:
    worker = asyncio.create_task(_keep_running(cast("ControlGroup", FakeGroup()), "raise SystemExit(1)", ""))
    async with asyncio.timeout(20):
        await worker
    injection = StressInjection(fault("512MB"), (), "it")
    injection._workers = [worker]
    assert injection.failure_reason() == "the worker could not be kept running"
