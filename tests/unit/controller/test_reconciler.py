"""The invariants of a round, for the ports of both adapters and for ports in memory, whatever fails."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pairsim.model.status import Role
from pairsim_controller.kube import cluster_cache
from pairsim_controller.plan.labels import plan_labels
from pairsim_controller.plan.redundancy import active_of
from pairsim_controller.plan.view import Label, SetLabel, View
from pairsim_controller.reconcile import reconciler
from tests.unit.controller.model_world import ModelWorld
from tests.unit.controller.reconciler_rigs import ClusterRig, FakeWatcher, Gateway, LocalRig, MemoryRig, Rig
from tests.unit.controller.test_decide_properties import AREAS, FAULTS, NAMES, SIMULATORS, fault, whole

RIGS = (MemoryRig, LocalRig, ClusterRig)
SEEDS = 12


def make(kind: type[MemoryRig | LocalRig | ClusterRig], seed: int, folder: Path, patch: pytest.MonkeyPatch) -> Rig:
    world = ModelWorld(SIMULATORS, 2, AREAS)
    rig = kind(world, seed, folder)
    if isinstance(rig, ClusterRig):
        watchers = rig.watchers

        def watcher(name: str, _url: str, _kind: object, _token: str, on_change: object, _pace: object) -> FakeWatcher:
            watchers.append(FakeWatcher(world, name, on_change))  # type: ignore[arg-type]
            return watchers[-1]

        patch.setattr(cluster_cache, "StatusWatcher", watcher)
        patch.setattr(cluster_cache, "time", SimpleNamespace(monotonic=lambda: world.now))
    return rig


def random_faults(seed: int) -> Iterator[tuple[str, str, int]]:
    """Yields faults, each with the process that it hits and the rounds until the next one."""
    chance = random.Random(seed)
    for _ in range(25):
        yield chance.choice((*FAULTS, "controller")), chance.choice(NAMES), chance.randint(1, 4)


def settled(rig: Rig) -> bool:
    """Returns whether the world is whole, recorded and labelled."""
    if not whole(rig.world):
        return False
    labels = rig.shown()
    return all(
        truth.active is not None and labels.get(truth.active) == Label(area, Role.ACTIVE, truth.term)
        for area, truth in rig.world.truth.items()
    )


async def run(rig: Rig, seed: int) -> None:
    """Runs rounds with random faults, then without faults until the world has settled."""
    rig.start_controller()
    for what, name, rounds in random_faults(seed):
        if what == "controller":
            rig.start_controller()
        else:
            fault(rig.world, what, name)
        for _ in range(rounds):
            await rig.round()
    for name in NAMES:
        rig.world.restart(name)
        rig.world.show(name)
        rig.world.unstick(name)
    rig.fails.share = 0.0
    for _ in range(60):
        await rig.round()
    assert len(rig.world.begun) == len(set(rig.world.begun)), "an area began twice"
    assert settled(rig), (rig.world.truth, rig.world.recorded, rig.shown())


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("kind", RIGS)
def test_it_records_before_it_acts_and_never_shows_two_actives(
    kind: type[MemoryRig | LocalRig | ClusterRig], seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(run(make(kind, seed, tmp_path, monkeypatch), seed))


def promote_at_once(view: View) -> tuple[SetLabel, ...]:
    active = active_of(view.area, view.statuses.values())
    first = (SetLabel(active.replica, Label(view.area, Role.ACTIVE, active.term)),) if active is not None else ()
    return first if active is not None and view.labels.get(active.replica) != first[0].label else plan_labels(view)


@pytest.mark.parametrize("kind", RIGS)
def test_a_promotion_without_a_demotion_is_found(
    kind: type[MemoryRig | LocalRig | ClusterRig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "plan_labels", promote_at_once)
    with pytest.raises(AssertionError, match="two actives"):
        asyncio.run(run(make(kind, 1, tmp_path, monkeypatch), 1))


@pytest.mark.parametrize("kind", RIGS)
def test_a_request_without_a_record_is_found(
    kind: type[MemoryRig | LocalRig | ClusterRig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(View, "with_record", lambda view, *_record: view)
    with pytest.raises(AssertionError, match="durable before it is sent"):
        asyncio.run(run(make(kind, 1, tmp_path, monkeypatch), 1))


async def test_a_round_without_changes_takes_one_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = MemoryRig(ModelWorld(SIMULATORS, 2, AREAS), 1, tmp_path)
    rig.fails.share = 0.0
    rig.start_controller()
    for _ in range(20):
        await rig.round()
    views, take = [], rig.index.view

    def counted(area: str, now: float, *, may_bootstrap: bool = True) -> View:
        views.append(area)
        return take(area, now, may_bootstrap=may_bootstrap)

    monkeypatch.setattr(rig.index, "view", counted)
    assert await rig._reconciler.reconcile("west")
    assert views == ["west"]


async def test_an_area_is_not_created_before_all_processes_are_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = MemoryRig(ModelWorld(SIMULATORS, 2, AREAS), 1, tmp_path)
    rig.fails.share = 0.0
    rig.start_controller()
    rig.observe()
    monkeypatch.setattr(Gateway, "all_heard", lambda _self: False)
    assert not await rig._reconciler.reconcile("west"), "another round is due"
    assert rig.durable() == {}
    monkeypatch.setattr(Gateway, "all_heard", lambda _self: True)
    await rig._reconciler.reconcile("west")
    assert rig.durable().keys() == {"west"}
