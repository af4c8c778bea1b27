"""The runner removes every fault that it injects, and reports the first error first."""

from __future__ import annotations

from typing import cast

import pytest

from pairsim_chaos.experiment.model import Experiment
from pairsim_chaos.run.runner import Runner, RunTiming
from pairsim_chaos.target import Target, WorldError
from tests.unit.chaos.cluster.fake_cluster import experiment

KILL = experiment(
    "PodChaos", "  action: pod-kill\n  mode: one\n  selector: {labelSelectors: {pairsim.io/role: active}}\n"
)


class FakeTarget:
    """A target and its only injection, which fails at the given steps."""

    targets = ("a",)

    def __init__(self, *, wait: str = "", recover: str = "") -> None:
        self.reasons, self.done = {"wait": wait, "recover": recover}, list[str]()

    async def inject(self, _experiment: Experiment, _handler: object) -> FakeTarget:
        return self

    async def wait(self) -> None:
        self._do("wait")

    async def recover(self) -> None:
        self._do("recover")

    def _do(self, step: str) -> None:
        self.done.append(step)
        if self.reasons[step]:
            raise WorldError(self.reasons[step])


async def inject(target: FakeTarget) -> tuple[str, ...]:
    return await Runner(cast("Target", target), timing=RunTiming(), log=lambda _sentence: None)._inject(KILL)


async def test_a_fault_is_awaited_and_removed() -> None:
    target = FakeTarget()
    assert await inject(target) == ("a",)
    assert target.done == ["wait", "recover"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (FakeTarget(wait="it broke"), "it broke"),
        (FakeTarget(recover="it stays"), "it stays"),
        (FakeTarget(wait="it broke", recover="it stays"), "it broke; then it stays"),
    ],
)
async def test_a_failed_fault_is_removed_and_its_error_comes_first(target: FakeTarget, message: str) -> None:
    with pytest.raises(WorldError, match=f"^{message}$"):
        await inject(target)
    assert target.done == ["wait", "recover"]
