"""Whatever becomes of a request, what a run created is gone when it has ended, and what others made stays."""

from __future__ import annotations

import asyncio

import pytest

from pairsim_chaos.cluster import chaos_object, injections
from pairsim_chaos.target import RefusedFaultError, WorldError
from pairsim_controller.kube.api.connection import ApiBusyError, ApiRefusedError, ApiUnreachableError, ObjectGoneError
from pairsim_controller.kube.api.port import ApiError
from tests.unit.chaos.cluster.fake import GROUP, FakeCluster, experiment, failed, injected

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
    monkeypatch.setattr(chaos_object, "_LOOK", 0.001)
    monkeypatch.setattr(chaos_object, "_LATE", 0.02)
    made = FakeCluster()
    made.made = lambda _path, item: item.update(status=injected("a"))
    return made


async def inject(cluster: FakeCluster) -> None:
    injection = await cluster.world().inject(FAULT, None)  # type: ignore[arg-type]  # nobody is asked in a cluster
    assert injection.targets == ("a",)
    assert cluster.left == ["it"]
    await injection.recover()
    await injection.recover()


async def test_a_fault_is_created_and_deleted(cluster: FakeCluster) -> None:
    await inject(cluster)
    assert cluster.left == []
    assert [method for method, _ in cluster.requests] == ["POST", "GET", "GET", "DELETE", "GET"]


@pytest.mark.parametrize("carried_out", [True, False])
async def test_one_whose_creation_was_not_answered_is_looked_for(cluster: FakeCluster, carried_out: bool) -> None:
    cluster.trouble = {"POST": [(NO_ANSWER, carried_out)]}
    with pytest.raises(WorldError, match="could not be created: no answer"):
        await inject(cluster)
    assert cluster.left == []
    assert ("DELETE" in [method for method, _ in cluster.requests]) == carried_out


async def test_one_that_is_created_after_all_is_deleted_as_well(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos_object, "_LATE", 3600.0)
    cluster.trouble = {"POST": [(NO_ANSWER, True)]}
    hidden: dict[str, dict[str, object]] = {}

    def late() -> None:
        if hidden:
            cluster.objects.update(hidden)
            cluster.looked = lambda: None
        else:
            hidden.update(cluster.objects)
            cluster.objects.clear()

    cluster.looked = late
    with pytest.raises(WorldError):
        await inject(cluster)
    assert cluster.left == []
    assert ("DELETE", f"{GROUP}/podchaos/it") in cluster.requests


async def test_a_run_that_is_ended_while_it_creates_one_waits_for_it_and_deletes_it(cluster: FakeCluster) -> None:
    cluster.post.clear()
    task = asyncio.create_task(inject(cluster))
    await cluster.posting.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    cluster.post.set()
    await asyncio.wait({task})
    assert task.cancelled()
    assert cluster.left == []
    assert ("DELETE", f"{GROUP}/podchaos/it") in cluster.requests


@pytest.mark.parametrize("method", ["DELETE", "GET"])
@pytest.mark.parametrize("trouble", [ApiBusyError("429", 1.0), NO_ANSWER, ApiError("500")])
async def test_what_cannot_be_deleted_at_once_is_tried_again(
    cluster: FakeCluster, method: str, trouble: ApiError
) -> None:
    cluster.trouble = {method: [(trouble, False)] * 3}
    await inject(cluster)
    assert cluster.left == []


async def test_a_right_that_is_lacking_is_told_at_once(cluster: FakeCluster) -> None:
    cluster.trouble = {"DELETE": [(ApiRefusedError("forbidden (403)"), False)]}
    with pytest.raises(WorldError, match=r"`kubectl -n pairsim delete podchaos\.chaos-mesh\.org/it`: forbidden"):
        await inject(cluster)


@pytest.mark.parametrize(
    ("trouble", "told"), [([], "Chaos Mesh cannot take it back"), ([(NO_ANSWER, False)] * 999, "no answer")]
)
async def test_one_that_stays_is_told_after_a_while(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, trouble: list[tuple[ApiError, bool]], told: str
) -> None:
    monkeypatch.setattr(chaos_object, "_GONE", 0.01)
    cluster.stuck, cluster.trouble = True, {"DELETE": trouble}
    with pytest.raises(WorldError, match=rf"not gone within .*{told}"):
        await inject(cluster)


@pytest.mark.parametrize("trouble", [[], [(NO_ANSWER, False)]])
async def test_what_others_made_under_its_name_stays(
    cluster: FakeCluster, trouble: list[tuple[ApiError, bool]]
) -> None:
    cluster.put("podchaos", "it")
    cluster.trouble = {"POST": trouble}
    with pytest.raises(WorldError, match="could not be created" if trouble else "there is one of its name"):
        await inject(cluster)
    assert cluster.left == ["it"]
    assert "DELETE" not in [method for method, _ in cluster.requests]


async def test_what_others_made_under_its_name_when_it_was_to_be_deleted_stays(cluster: FakeCluster) -> None:
    cluster.deleting = lambda: cluster.objects.update({f"{GROUP}/podchaos/it": theirs})
    theirs = cluster.put("podchaos", "theirs")
    cluster.objects.clear()
    await inject(cluster)
    assert list(cluster.objects.values()) == [theirs]


@pytest.mark.parametrize(
    ("trouble", "error"),
    [(ObjectGoneError("404"), RefusedFaultError), (ApiRefusedError("webhook says no"), WorldError)],
)
async def test_what_was_refused_is_not_looked_for(
    cluster: FakeCluster, trouble: ApiError, error: type[WorldError]
) -> None:
    cluster.trouble = {"POST": [(trouble, False)]}
    with pytest.raises(error, match=str(trouble)):
        await inject(cluster)
    assert [method for method, _ in cluster.requests] == ["POST"]


def test_it_is_sent_as_it_is_written_but_for_what_a_run_needs() -> None:
    made = experiment("PodChaos", KILL, "{generateName: it-, labels: {a: b}}")
    body = chaos_object.marked(made.document, "garden", "0123456789abcdef")
    assert body["spec"] == made.document["spec"]
    assert body["metadata"] == {
        "name": "it-01234567",  # known before it is there
        "namespace": "garden",
        "labels": {"a": "b"},
        "annotations": {"pairsim.io/run": "0123456789abcdef"},  # of which a workflow needs one to be aborted
    }
    named = chaos_object.marked(FAULT.document, "garden", "r")
    assert named["metadata"] == {
        "name": "it", "namespace": "garden", "annotations": {"about": "it", "pairsim.io/run": "r"},
    }  # fmt: skip
    assert FAULT.document["metadata"] == {"name": "it", "annotations": {"about": "it"}}


@pytest.fixture
def failing(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """One that cannot inject a fault into the pods a and b, and so does not take it back."""
    monkeypatch.setattr(injections, "_INJECTED", 0.01)
    monkeypatch.setattr(chaos_object, "_PATIENCE", 0.0)
    cluster.made = lambda _path, item: item.update(status=failed("a", "b"))
    cluster.stuck = True
    for pod in ("a", "b", "c"):
        cluster.put("podnetworkchaos", pod)
    return cluster


async def cut(cluster: FakeCluster) -> None:
    await cluster.world().inject(CUT, None)  # type: ignore[arg-type]


async def test_one_that_cannot_be_injected_is_forced_away_with_what_is_left_of_it_at_its_pods(
    failing: FakeCluster,
) -> None:
    with pytest.raises(WorldError, match=r"^it was not AllInjected within .*: unable to set tcs$"):
        await cut(failing)
    assert failing.left == ["c"]
    forced = [path.rpartition("/")[2] for method, path in failing.requests if method in ("PATCH", "DELETE")]
    assert forced == ["it", "it", "b", "a"]


async def test_what_is_left_at_pods_may_have_gone_with_them(failing: FakeCluster) -> None:
    del failing.objects[f"{GROUP}/podnetworkchaos/b"]
    failing.trouble = {"DELETE": [(NO_ANSWER, False)] * 3}
    with pytest.raises(WorldError, match=r"unable to set tcs$"):
        await cut(failing)
    assert failing.left == ["c"]


async def test_why_it_was_not_injected_is_told_before_that_it_cannot_be_taken_back(failing: FakeCluster) -> None:
    failing.trouble = {"PATCH": [(ApiRefusedError("forbidden (403)"), False)]}
    with pytest.raises(WorldError) as caught:
        await cut(failing)
    first, _, second = str(caught.value).partition("; then ")
    assert first.endswith("unable to set tcs")
    assert second == (
        "it could not be deleted, do it by hand, "
        "`kubectl -n pairsim annotate networkchaos.chaos-mesh.org/it chaos-mesh.chaos-mesh.org/cleanFinalizer=forced; "
        "kubectl -n pairsim delete --ignore-not-found networkchaos.chaos-mesh.org/it; "
        "kubectl -n pairsim delete --ignore-not-found podnetworkchaos.chaos-mesh.org a b`: forbidden (403)"
    )


async def test_one_that_was_injected_is_never_forced(failing: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos_object, "_GONE", 0.01)
    failing.made = lambda _path, item: item.update(status=injected("a"))
    injection = await failing.world().inject(CUT, None)  # type: ignore[arg-type]
    with pytest.raises(WorldError, match=r"`kubectl -n pairsim delete networkchaos\.chaos-mesh\.org/it`"):
        await injection.recover()
    assert "PATCH" not in [method for method, _ in failing.requests]


async def test_one_that_is_over_before_it_is_taken_back_is_told(cluster: FakeCluster) -> None:
    injection = await cluster.world(longest=0.01).inject(CUT, None)  # type: ignore[arg-type]
    cluster.trouble = {"GET": [(NO_ANSWER, False)] * 3}
    await injection.over()
    cluster.objects[f"{GROUP}/networkchaos/it"]["status"]["conditions"] = [
        {"type": "AllInjected", "status": "False"}, {"type": "AllRecovered", "status": "True"},
    ]  # fmt: skip
    with pytest.raises(WorldError, match=r"^it ended by itself before the 0\.01 s of --at-most were over: .* of 30 s"):
        await injection.over()
