"""The runner removes every fault that it injects, and reports the first error first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self, cast

import pytest

from pairsim.model.geometry import Box
from pairsim_chaos.experiment.model import Experiment
from pairsim_chaos.probe.probe import Probe
from pairsim_chaos.run import runner as runner_module
from pairsim_chaos.run.runner import Runner, RunTiming, title
from pairsim_chaos.target import AreaView, Target, WorldError, WorldSnapshot
from pairsim_chaos.verdict.checks import Outcome
from tests.unit.chaos.cluster.fake_cluster import experiment

KILL = experiment(
    "PodChaos", "  action: pod-kill\n  mode: one\n  selector: {labelSelectors: {pairsim.io/role: active}}\n"
)


class FakeTarget:
    """A target and its only injection, which fails at the given steps."""

    injecting: Callable[[], bool]

    def __init__(self, *, wait: str = "", recover: str = "", targets: tuple[str, ...] = ("a",)) -> None:
        self.targets = targets
        self.reasons, self.done = {"wait": wait, "recover": recover}, list[str]()

    async def inject(self, _experiment: Experiment, _handler: object) -> FakeTarget:
        return self

    async def wait(self) -> None:
        self._do("wait")

    async def recover(self) -> None:
        self._do("recover")

    def _do(self, step: str) -> None:
        self.done.append(step)
        assert self.injecting()
        if self.reasons[step]:
            raise WorldError(self.reasons[step])


class FaultProbe:
    """A probe that counts faults."""

    def __init__(self) -> None:
        self.faults = 0

    def on_fault(self) -> None:
        self.faults += 1


async def inject(target: FakeTarget, log: Callable[[str], None] = lambda _sentence: None) -> tuple[str, ...]:
    runner = Runner(cast("Target", target), timing=RunTiming(), log=log)
    target.injecting = lambda: runner.injecting
    try:
        return await runner._inject(KILL, "kill")
    finally:
        assert not runner.injecting


async def test_the_probe_knows_when_the_fault_was_injected() -> None:
    runner = Runner(cast("Target", FakeTarget()), timing=RunTiming(), log=lambda _sentence: None)
    target, probe = cast("FakeTarget", runner._target), FaultProbe()
    target.injecting, runner._probe = lambda: probe.faults == 1, cast("Probe", probe)
    await runner._inject(KILL, "kill")
    assert probe.faults == 1


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


async def test_the_log_says_when_entities_of_the_probe_may_remain(monkeypatch: pytest.MonkeyPatch) -> None:
    class LeavingProbe:
        def __init__(self, _target: Target) -> None:
            self.remains: tuple[str, ...] = ()

        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            self.remains = ("west: entities remain",)

    monkeypatch.setattr(runner_module, "Probe", LeavingProbe)
    sentences: list[str] = []
    runner = Runner(cast("Target", FakeTarget()), timing=RunTiming(), log=sentences.append)
    with pytest.raises(WorldError):
        async with runner._run_probe():
            raise WorldError("it broke")
    assert sentences == ["west: entities remain"]


@pytest.mark.parametrize(("targets", "sentence"), [(("a", "b"), "kill: injected into a, b"), ((), "kill: started")])
async def test_the_progress_names_targets_only_if_they_are_known(targets: tuple[str, ...], sentence: str) -> None:
    sentences: list[str] = []
    await inject(FakeTarget(targets=targets), sentences.append)
    assert sentences == [sentence]


def test_an_experiment_without_a_name_is_called_after_its_file() -> None:
    unnamed = experiment(
        "PodChaos",
        "  action: pod-kill\n  mode: one\n  selector: {labelSelectors: {pairsim.io/role: active}}\n",
        "{generateName: it-}",
    )
    assert title(unnamed, Path("files/kill.yaml")) == "kill (line 1)"
    assert title(KILL, Path("files/kill.yaml")) == "it"


class UnhealthyTarget:
    """A target without a healthy world."""

    def __init__(self, snapshot: WorldSnapshot | WorldError) -> None:
        self._snapshot = snapshot

    async def unsupported_reason(self, _experiment: Experiment) -> str:
        return ""

    async def snapshot(self) -> WorldSnapshot:
        if isinstance(self._snapshot, WorldError):
            raise self._snapshot
        return self._snapshot


LAME = AreaView(
    "west", "physics", Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), redundant=False, redundancy_gap="b is joining"
)


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (WorldSnapshot((LAME,), ()), "the world was not redundant before it: west: b is joining"),
        (WorldSnapshot((), ()), "the world has no areas"),
        (WorldError("no permission"), "the world could not be observed before it: no permission"),
    ],
)
async def test_a_fault_is_not_injected_into_an_unhealthy_world(
    snapshot: WorldSnapshot | WorldError, reason: str
) -> None:
    timing = RunTiming(recovery_timeout=0.01)
    runner = Runner(cast("Target", UnhealthyTarget(snapshot)), timing=timing, log=lambda _sentence: None)
    verdict = await runner.run(KILL, Path("kill.yaml"))
    assert (verdict.outcome, verdict.failed) == (
        Outcome.NO_VERDICT,
        f"the fault was not injected because {reason}",
    )


class FakeProbe:
    """A probe of a world that was redundant, and does not answer any more."""

    redundancy_gap = ""

    async def refresh(self) -> str:
        return "no answer"


async def test_a_world_that_does_not_answer_is_not_redundant_because_it_was() -> None:
    timing = RunTiming(recovery_timeout=0.01, settle=0.0)
    runner = Runner(cast("Target", None), timing=timing, log=lambda _sentence: None)
    reason = await runner._await_recovery(cast("Probe", FakeProbe()))
    assert reason == "it is unknown whether the world was redundant within 0.01 s: no answer"
