"""Sentences about what the cluster refused or could not do: each once, with what a user can do about it."""

from __future__ import annotations

import pytest

from pairsim_chaos.cluster.failures import injection_failures
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.experiment.model import HttpCheck
from pairsim_chaos.target import UnsupportedFaultError, WorldError
from pairsim_controller.kube.api.connection import ApiRefusedError
from tests.harness import ROOT
from tests.unit.chaos.cluster.fake_cluster import FakeCluster, experiment

PODS = ("pairsim/sim-1", "pairsim/sim-2")
KILL = "  action: pod-kill\n  mode: one\n  selector: {labelSelectors: {pairsim.io/role: active}}\n"
FORBIDDEN = ApiRefusedError('podchaos is forbidden: User "it" cannot list podchaos (403)')


def message(pod: str, reason: str) -> str:
    return f"failed to apply for pod {pod}: {reason} for pod {pod.partition('/')[2]}"


@pytest.mark.parametrize(
    ("action", "with_target", "sentence"),
    [
        ("delay", False, "the node's kernel lacks netem (unable to set tcs)"),
        ("loss", True, "the node's kernel lacks netem or sch_prio (unable to set tcs)"),
        ("bandwidth", False, "the node's kernel lacks tbf (unable to set tcs)"),
        (
            "partition",
            True,
            "another fault in the pod needs what the node's kernel lacks, delete that fault first (unable to set tcs)",
        ),
        ("", False, "the node's kernel cannot shape traffic in this way (unable to set tcs)"),
    ],
)
def test_a_kernel_that_cannot_shape_traffic_is_named_once(action: str, with_target: bool, sentence: str) -> None:
    failures = [(pod, message(pod, "unable to set tcs")) for pod in PODS * 2]
    found = injection_failures(failures, action, with_target=with_target)
    assert found == f"pairsim/sim-1, pairsim/sim-2: {sentence}"


def test_different_failures_keep_their_messages() -> None:
    failures = [(PODS[0], message(PODS[0], "unable to set ip tables chains")), (PODS[1], "it broke")]
    assert injection_failures(failures, "partition", with_target=True) == (
        "pairsim/sim-1: unable to set ip tables chains; pairsim/sim-2: it broke"
    )
    assert injection_failures([], "partition", with_target=True) == ""


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (
            "{name: it, namespace: elsewhere}",
            (
                "the experiment is in the namespace elsewhere, but the world is in pairsim: write namespace: pairsim "
                "in the metadata and in the selectors of the experiment"
            ),
        ),
        ("{name: it}", "this run has no permission for experiments in pairsim: apply manifests/components/chaos"),
    ],
)
async def test_a_refusal_says_what_to_write(metadata: str, sentence: str) -> None:
    cluster = FakeCluster()
    cluster.trouble = {"GET": [(FORBIDDEN, False)]}
    made = experiment("PodChaos", KILL.replace("{labelSelectors", "{namespaces: [pairsim], labelSelectors"), metadata)
    with pytest.raises(WorldError) as caught:
        await cluster.target().unsupported_reason(made)
    assert str(caught.value) == f"{sentence} ({FORBIDDEN})"


async def test_an_engine_cannot_be_told_from_its_node_in_a_cluster() -> None:
    cluster = FakeCluster()
    (made,) = load_experiments((ROOT / "chaos/experiments/engine-crash.yaml").read_text())
    assert "an engine shares that of its node" in await cluster.target().unsupported_reason(made)
    with pytest.raises(UnsupportedFaultError, match="run the experiment on one machine"):
        await cluster.target().inject(made, no_checks)
    assert cluster.requests == []


async def no_checks(_check: HttpCheck, _seconds: float) -> int:
    return 0


async def test_a_world_that_must_not_be_read_is_named() -> None:
    cluster = FakeCluster()
    cluster.trouble = {"GET": [(FORBIDDEN, False)]}
    with pytest.raises(WorldError, match="pass the namespace of the world with --namespace"):
        await cluster.target().snapshot()


@pytest.mark.parametrize(
    ("selector", "metadata", "chosen"),
    [
        ("namespaces: [games, shop]", "{name: it}", "games, shop"),
        ("pods: {games: [sim-1]}", "{name: it}", "games"),
        ("labelSelectors: {pairsim.io/role: active}", "{name: it, namespace: games}", "games"),
        ("namespaces: [games, pairsim]", "{name: it}", ""),
        ("labelSelectors: {pairsim.io/role: active}", "{name: it}", ""),
        ("labelSelectors: {pairsim.io/role: active}", "{name: it, namespace: pairsim}", ""),
    ],
)
async def test_a_fault_in_pods_of_other_namespaces_proves_nothing_about_the_world(
    selector: str, metadata: str, chosen: str
) -> None:
    inner = selector if "pods" in selector else f"{selector}, nodes: [n1]"
    made = experiment("PodChaos", f"  action: pod-kill\n  mode: one\n  selector: {{{inner}}}\n", metadata)
    if not chosen:
        assert await FakeCluster().target().unsupported_reason(made) == ""
        return
    with pytest.raises(WorldError) as caught:
        await FakeCluster().target().unsupported_reason(made)
    assert str(caught.value) == (
        f"the experiment selects pods of {chosen}, but the world is in pairsim: write namespace: pairsim in its "
        "metadata, and pairsim in the namespaces of its selectors"
    )
