"""The load on a target, computed as Chaos Mesh's own stressors do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import msgspec
import pytest

from pairsim_chaos.experiment.faults import Memory, StressFault, Stressors
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.local import stress
from pairsim_chaos.local.cgroups import ControlGroup
from pairsim_chaos.local.stress import MEMORY_LIMIT, StressInjection, _keep_running, unsupported_reason, workers
from pairsim_chaos.target import WorldError
from tests.unit.chaos.local.test_selection_and_links import process

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


async def test_the_workers_compete_with_the_node_and_its_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[int] = []

    class Group:
        """A control group, of which process 9 has just ended."""

        def __init__(self, _name: str, _controllers: tuple[str, ...]) -> None:
            pass

        def add(self, pid: int) -> None:
            added.append(pid)
            if pid == 9:
                raise WorldError("process 9 is gone")

        def close(self) -> None:
            pass

    monkeypatch.setattr(stress, "ControlGroup", Group)
    (made,) = load_experiments(FILE.with_stem("stress-engine").read_text())
    assert isinstance(made.spec, StressFault)
    for engine in (8, 9, None):
        target = msgspec.structs.replace(process("sim-1", "active", "west"), engine_pid=engine)
        quiet = msgspec.structs.replace(made.spec, stressors=Stressors())
        injection = StressInjection(quiet, [target], "it")
        await injection.apply()
        await injection.revert()
    assert added == [1, 8, 1, 9, 1]


async def test_a_worker_that_ends_by_itself_is_not_started_again() -> None:
    worker = asyncio.create_task(_keep_running(cast("ControlGroup", FakeGroup()), "raise SystemExit(1)", ""))
    async with asyncio.timeout(20):
        await worker
    injection = StressInjection(fault("512MB"), (), "it")
    injection._workers = [worker]
    assert injection.failure_reason() == "the worker could not be kept running"
