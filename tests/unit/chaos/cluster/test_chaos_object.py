"""However requests fail, a run deletes the objects that it created, and leaves the objects of others."""

from __future__ import annotations

import asyncio

import pytest

from pairsim_chaos.cluster import chaos_object, injections
from pairsim_chaos.target import UnsupportedFaultError, WorldError
from pairsim_controller.kube.api.connection import (
    REQUEST_SECONDS,
    ApiBusyError,
    ApiRefusedError,
    ApiUnreachableError,
    ObjectGoneError,
)
from pairsim_controller.kube.api.port import ApiError
from tests.chaos_mesh_pipeline import selected
from tests.unit.chaos.cluster.fake_cluster import GROUP, FakeCluster, experiment, failed, injected

CUT = experiment(
    "NetworkChaos",
    "  action: loss\n  loss: {loss: '20'}\n  duration: 30s\n  mode: one\n"
    "  selector: {labelSelectors: {pairsim.io/role: active}}\n",
)
SELECTED = "  mode: one\n  selector: {labelSelectors: {pairsim.io/role: active}}\n"
KILL = "  action: pod-kill\n" + SELECTED
FAULT = experiment("PodChaos", KILL)
NO_ANSWER = ApiUnreachableError("no answer")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    monkeypatch.setattr(chaos_object, "_POLL_SECONDS", 0.001)
    monkeypatch.setattr(chaos_object, "_LATE_CREATION_SECONDS", 0.02)
    fake = FakeCluster()
    fake.on_created = lambda _path, item: item.update(status=injected("a"))
    return fake


async def inject(cluster: FakeCluster) -> None:
    injection = await cluster.target().inject(FAULT, None)  # type: ignore[arg-type]  # a cluster does not use the handler
    assert injection.targets == ("a",)
    assert cluster.names == ["it"]
    await injection.recover()
    await injection.recover()


async def test_a_fault_is_created_and_deleted(cluster: FakeCluster) -> None:
    await inject(cluster)
    assert cluster.names == []
    assert [method for method, _ in cluster.requests] == ["POST", "GET", "GET", "DELETE", "GET"]


@pytest.mark.parametrize("carried_out", [True, False])
async def test_an_object_whose_creation_was_not_answered_is_looked_up(cluster: FakeCluster, carried_out: bool) -> None:
    cluster.trouble = {"POST": [(NO_ANSWER, carried_out)]}
    with pytest.raises(WorldError, match="could not be created: no answer"):
        await inject(cluster)
    assert cluster.names == []
    assert ("DELETE" in [method for method, _ in cluster.requests]) == carried_out


async def test_an_object_that_is_created_late_is_deleted_as_well(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos_object, "_LATE_CREATION_SECONDS", 3600.0)
    cluster.trouble = {"POST": [(NO_ANSWER, True)]}
    hidden: dict[str, dict[str, object]] = {}

    def late() -> None:
        if hidden:
            cluster.objects.update(hidden)
            cluster.on_read = lambda: None
        else:
            hidden.update(cluster.objects)
            cluster.objects.clear()

    cluster.on_read = late
    with pytest.raises(WorldError):
        await inject(cluster)
    assert cluster.names == []
    assert ("DELETE", f"{GROUP}/podchaos/it") in cluster.requests


async def test_a_run_that_is_cancelled_during_a_creation_waits_and_deletes_the_object(cluster: FakeCluster) -> None:
    cluster.post_allowed.clear()
    task = asyncio.create_task(inject(cluster))
    await cluster.post_received.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    cluster.post_allowed.set()
    await asyncio.wait({task})
    assert task.cancelled()
    assert cluster.names == []
    assert ("DELETE", f"{GROUP}/podchaos/it") in cluster.requests


@pytest.mark.parametrize("method", ["DELETE", "GET"])
@pytest.mark.parametrize("trouble", [ApiBusyError("429", 1.0), NO_ANSWER, ApiError("500")])
async def test_a_failed_deletion_is_retried(cluster: FakeCluster, method: str, trouble: ApiError) -> None:
    cluster.trouble = {method: [(trouble, False)] * 3}
    await inject(cluster)
    assert cluster.names == []


async def test_a_missing_permission_is_reported_at_once(cluster: FakeCluster) -> None:
    cluster.trouble = {"DELETE": [(ApiRefusedError("forbidden (403)"), False)]}
    with pytest.raises(WorldError, match=r"`kubectl -n pairsim delete podchaos\.chaos-mesh\.org/it`: forbidden"):
        await inject(cluster)


@pytest.mark.parametrize(
    ("trouble", "message"), [([], "Chaos Mesh has not removed its fault"), ([(NO_ANSWER, False)] * 999, "no answer")]
)
async def test_an_object_that_stays_is_reported_after_a_while(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, trouble: list[tuple[ApiError, bool]], message: str
) -> None:
    monkeypatch.setattr(chaos_object, "_DELETION_SECONDS", 0.01)
    cluster.stuck, cluster.trouble = True, {"DELETE": trouble}
    with pytest.raises(WorldError, match=rf"not gone within .*{message}"):
        await inject(cluster)


@pytest.mark.parametrize("trouble", [[], [(NO_ANSWER, False)]])
async def test_an_object_of_others_with_the_same_name_stays(
    cluster: FakeCluster, trouble: list[tuple[ApiError, bool]]
) -> None:
    cluster.put("podchaos", "it")
    cluster.trouble = {"POST": trouble}
    with pytest.raises(
        WorldError, match="could not be created" if trouble else "an experiment with the same name exists"
    ):
        await inject(cluster)
    assert cluster.names == ["it"]
    assert "DELETE" not in [method for method, _ in cluster.requests]


async def test_an_object_of_others_with_the_same_name_stays_if_it_appears_at_the_deletion(cluster: FakeCluster) -> None:
    cluster.on_delete = lambda: cluster.objects.update({f"{GROUP}/podchaos/it": theirs})
    theirs = cluster.put("podchaos", "theirs")
    cluster.objects.clear()
    await inject(cluster)
    assert list(cluster.objects.values()) == [theirs]


@pytest.mark.parametrize(
    ("trouble", "error"),
    [(ObjectGoneError("404"), UnsupportedFaultError), (ApiRefusedError("webhook says no"), WorldError)],
)
async def test_a_refused_object_is_not_looked_up(
    cluster: FakeCluster, trouble: ApiError, error: type[WorldError]
) -> None:
    cluster.trouble = {"POST": [(trouble, False)]}
    with pytest.raises(error, match=str(trouble)):
        await inject(cluster)
    assert [method for method, _ in cluster.requests] == ["POST"]


def test_a_document_is_sent_as_written_with_the_fields_of_a_run() -> None:
    made = experiment("PodChaos", KILL, "{generateName: it-, labels: {a: b}}")
    body = chaos_object.marked(made.document, "garden", "0123456789abcdef")
    assert body["spec"] == made.document["spec"]
    assert body["metadata"] == {
        "name": "it-01234567",  # known before the object exists
        "namespace": "garden",
        "labels": {"a": "b"},
        "annotations": {"pairsim.io/run": "0123456789abcdef"},  # a workflow needs an annotation to be aborted
    }
    named = chaos_object.marked(FAULT.document, "garden", "r")
    assert named["metadata"] == {
        "name": "it", "namespace": "garden", "annotations": {"about": "it", "pairsim.io/run": "r"},
    }  # fmt: skip
    assert FAULT.document["metadata"] == {"name": "it", "annotations": {"about": "it"}}


@pytest.fixture
def failing(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """Returns a cluster whose kernel cannot shape the traffic of the pods a and b; the pod c is in other hands."""
    monkeypatch.setattr(injections, "_INJECTION_SECONDS", 0.01)
    cluster.on_created = lambda _path, item: item.update(status=selected("pairsim/a", "pairsim/b"))
    cluster.on_read = cluster.pass_over_faults
    cluster.put("podnetworkchaos", "c")
    return cluster


async def cut(cluster: FakeCluster) -> None:
    await cluster.target().inject(CUT, None)  # type: ignore[arg-type]


def deletions(cluster: FakeCluster) -> list[str]:
    return [path.removeprefix(f"{GROUP}/") for method, path in cluster.requests if method == "DELETE"]


async def test_a_fault_that_cannot_be_injected_is_deleted_before_its_pod_records(failing: FakeCluster) -> None:
    with pytest.raises(
        WorldError,
        match=r"^the experiment was not AllInjected within .*: pairsim/a, pairsim/b: .* netem \(unable to set tcs\)$",
    ):
        await cut(failing)
    assert failing.names == ["c"]
    assert deletions(failing) == ["networkchaos/it", "podnetworkchaos/a", "podnetworkchaos/b"]


async def test_pod_records_may_have_gone_with_their_pods(failing: FakeCluster) -> None:
    failing.on_delete = lambda: failing.objects.pop(f"{GROUP}/podnetworkchaos/b", None)
    failing.trouble = {"DELETE": [(NO_ANSWER, False)] * 3}
    with pytest.raises(WorldError, match=r"^the experiment was not AllInjected within "):
        await cut(failing)
    assert failing.names == ["c"]


async def test_a_pod_record_that_is_written_again_is_deleted_again(failing: FakeCluster) -> None:
    def written_again() -> None:
        if ("DELETE", f"{GROUP}/podnetworkchaos/b") in failing.requests:
            failing.put("podnetworkchaos", "a")
            failing.objects[f"{GROUP}/networkchaos/it"]["status"] = failed("a")
            failing.on_read = failing.pass_over_faults
        else:
            failing.pass_over_faults()

    failing.on_read = written_again
    with pytest.raises(WorldError):
        await cut(failing)
    assert failing.names == ["c"]
    assert deletions(failing) == ["networkchaos/it", *("podnetworkchaos/a", "podnetworkchaos/b"), "podnetworkchaos/a"]


async def test_a_pod_record_stays_while_another_fault_is_in_the_pod(
    failing: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = failing.put("networkchaos", "other", status=injected("a"))
    monkeypatch.setattr(chaos_object, "_DELETION_SECONDS", 0.05)
    with pytest.raises(WorldError, match=r"the same pods are affected by other, to be deleted first$"):
        await cut(failing)
    assert f"{GROUP}/podnetworkchaos/a" in failing.objects
    assert f"{GROUP}/podnetworkchaos/b" not in failing.objects
    assert other["status"] == injected("a")


async def test_the_reason_of_a_failed_injection_comes_before_the_failed_deletion(failing: FakeCluster) -> None:
    def refuse() -> None:
        refused = failing.requests[-1] == ("DELETE", f"{GROUP}/podnetworkchaos/a")
        failing.trouble = {"DELETE": [(ApiRefusedError("forbidden (403)"), False)]} if refused else {}

    failing.on_delete = refuse
    with pytest.raises(WorldError) as caught:
        await cut(failing)
    first, _, second = str(caught.value).partition("; then ")
    assert first.startswith("the experiment was not AllInjected within ")
    assert second == (
        "the experiment could not be deleted, delete it by hand with "
        "`kubectl -n pairsim delete --ignore-not-found --wait=false networkchaos.chaos-mesh.org/it; "
        "kubectl -n pairsim delete --ignore-not-found podnetworkchaos.chaos-mesh.org a b`: forbidden (403)"
    )


async def test_the_commands_for_a_stuck_fault_of_another_run_name_its_pods(failing: FakeCluster) -> None:
    failing.put("networkchaos", "it", status=failed("a"))
    failing.on_read = lambda: None
    with pytest.raises(WorldError, match=r"--wait=false networkchaos\.chaos-mesh\.org/it; .* podnetworkchaos\S* a`$"):
        await cut(failing)
    assert deletions(failing) == []


async def test_the_pod_records_of_an_injected_fault_are_never_deleted(
    failing: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos_object, "_DELETION_SECONDS", 0.01)
    failing.on_created = lambda _path, item: item.update(status=injected("a"))
    failing.on_read = lambda: None
    failing.stuck = True
    injection = await failing.target().inject(CUT, None)  # type: ignore[arg-type]
    with pytest.raises(WorldError, match=r"`kubectl -n pairsim delete networkchaos\.chaos-mesh\.org/it`"):
        await injection.recover()
    assert deletions(failing) == ["networkchaos/it"]


class FakeTime:
    """A clock that a test sets forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


async def test_a_slow_api_server_is_asked_once_more_after_the_deadline(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeTime()
    monkeypatch.setattr(chaos_object, "time", clock)
    cluster.trouble = {"DELETE": [(NO_ANSWER, True)]}
    cluster.on_delete = lambda: setattr(clock, "now", 61.0)  # the deletion is carried out, and its answer is lost
    await inject(cluster)
    assert cluster.names == []
    assert cluster.timeouts[-1] > REQUEST_SECONDS


async def test_an_injection_is_looked_for_once_more_after_the_deadline(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeTime()
    monkeypatch.setattr(chaos_object, "time", clock)
    cluster.trouble = {"GET": [(NO_ANSWER, False)]}
    cluster.on_read = lambda: setattr(clock, "now", clock.now + 31.0)
    injection = await cluster.target().inject(FAULT, None)  # type: ignore[arg-type]
    assert injection.targets == ("a",)


async def test_a_namespace_that_does_not_exist_is_named(cluster: FakeCluster) -> None:
    cluster.trouble = {"POST": [(ObjectGoneError('namespaces "pairsim" not found (404)'), False)]}
    with pytest.raises(UnsupportedFaultError, match=r"^the namespace pairsim of the experiment does not exist: write"):
        await inject(cluster)


async def test_a_fault_that_another_client_paused_has_not_lasted(cluster: FakeCluster) -> None:
    made = experiment("NetworkChaos", f"  action: loss\n  loss: {{loss: '20'}}\n  duration: 1ms\n{SELECTED}")
    injection = await cluster.target().inject(made, None)  # type: ignore[arg-type]
    conditions = [{"type": kind, "status": "True"} for kind in ("AllRecovered", "Paused")]
    cluster.objects[f"{GROUP}/networkchaos/it"]["status"]["conditions"] = conditions
    with pytest.raises(WorldError, match="another client paused the fault"):
        await injection.wait()


async def test_a_fault_that_ends_before_its_removal_is_an_error(cluster: FakeCluster) -> None:
    injection = await cluster.target(max_duration=0.01).inject(CUT, None)  # type: ignore[arg-type]
    cluster.trouble = {"GET": [(NO_ANSWER, False)] * 3}
    await injection.wait()
    cluster.objects[f"{GROUP}/networkchaos/it"]["status"]["conditions"] = [
        {"type": "AllInjected", "status": "False"}, {"type": "AllRecovered", "status": "True"},
    ]  # fmt: skip
    with pytest.raises(WorldError, match=r"^the fault ended by itself before the 0\.01 s of --max-duration .* of 30 s"):
        await injection.wait()
