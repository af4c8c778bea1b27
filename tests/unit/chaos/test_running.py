"""A fault that a runner makes is taken back, and the verdict says what came first."""

from __future__ import annotations

from typing import cast

import pytest

from pairsim_chaos.experiment.experiment import Experiment
from pairsim_chaos.run.runner import Pace, Runner
from pairsim_chaos.target import World, WorldError
from tests.unit.chaos.cluster.fake import experiment

KILL = experiment(
    "PodChaos", "  action: pod-kill\n  mode: one\n  selector: {labelSelectors: {pairsim.io/role: active}}\n"
)


class Made:
    """An injection, and the world that it is made in."""

    targets = ("a",)

    def __init__(self, *, over: str = "", recover: str = "") -> None:
        self.reasons, self.done = {"over": over, "recover": recover}, list[str]()

    async def inject(self, _experiment: Experiment, _asked: object) -> Made:
        return self

    async def over(self) -> None:
        self._do("over")

    async def recover(self) -> None:
        self._do("recover")

    def _do(self, step: str) -> None:
        self.done.append(step)
        if self.reasons[step]:
            raise WorldError(self.reasons[step])


async def hurt(made: Made) -> tuple[str, ...]:
    told: list[str] = []
    return await Runner(cast("World", made), pace=Pace(), tell=told.append)._hurt(KILL)


async def test_a_fault_is_waited_for_and_taken_back() -> None:
    made = Made()
    assert await hurt(made) == ("a",)
    assert made.done == ["over", "recover"]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (Made(over="it broke"), "it broke"),
        (Made(recover="it stays"), "it stays"),
        (Made(over="it broke", recover="it stays"), "it broke; then it stays"),
    ],
)
async def test_one_that_broke_is_taken_back_and_told_first(made: Made, told: str) -> None:
    with pytest.raises(WorldError, match=f"^{told}$"):
        await hurt(made)
    assert made.done == ["over", "recover"]
