"""Labels are reported in the order in which they were written, across watches that end and break."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import msgspec
import pytest

from pairsim_chaos.cluster import pod_labels
from pairsim_controller.kube.api.connection import ApiUnreachableError, Connection
from pairsim_controller.kube.api.objects import Pod
from pairsim_controller.kube.api.port import ApiError
from tests.unit.chaos.cluster.fake_cluster import FakeCluster
from tests.unit.chaos.cluster.test_cluster_objects import pod_object

Reports = list[tuple[str, set[str]]]


def line(kind: str, name: str, role: str = "", version: int = 0) -> bytes:
    body = pod_object(name, role, "west" if role else "", resourceVersion=str(version))
    return json.dumps({"type": kind, "object": body}).encode()


def test_labels_are_reported_in_the_order_in_which_they_were_written() -> None:
    reports: Reports = []
    known = pod_labels.PodLabels(lambda area, active: reports.append((area, set(active))))

    def event(kind: str, name: str, role: str = "", area: str = "") -> None:
        known.on_event(kind, msgspec.convert(pod_object(name, role, area), Pod))

    event("ADDED", "a", "active", "west")
    event("ADDED", "b", "passive", "west")
    event("MODIFIED", "b", "active", "west")
    event("MODIFIED", "a", "passive", "west")
    event("DELETED", "b", "active", "west")
    event("ADDED", "c", "spare")
    assert reports == [("west", each) for each in ({"a"}, {"a"}, {"a", "b"}, {"b"}, set())]


def test_a_list_is_reported_as_one_moment() -> None:
    reports: Reports = []
    known = pod_labels.PodLabels(lambda area, active: reports.append((area, set(active))))

    def listed(*pods: tuple[str, str, str]) -> None:
        known.on_list([msgspec.convert(pod_object(*each), Pod) for each in pods])

    listed(("a", "active", "west"), ("b", "passive", "west"), ("c", "active", "east"))
    listed(("a", "passive", "west"), ("b", "active", "west"))
    assert reports == [("east", {"c"}), ("west", {"a"}), ("east", set()), ("west", {"b"})]


async def watched_reports(cluster: FakeCluster, listed: list[dict[str, Any]]) -> Reports:
    """Returns the reports until all watches of a cluster have been used."""
    reports: Reports = []
    lists = iter(listed)

    async def request(method: str, path: str, **_more: object) -> dict[str, Any]:
        assert (method, path) == ("GET", "/api/v1/namespaces/pairsim/pods")
        return next(lists)

    cluster.request = request  # type: ignore[method-assign, assignment]

    def on_labels(area: str, active: frozenset[str]) -> None:
        reports.append((area, set(active)))

    task = asyncio.create_task(pod_labels.watch_pod_labels(cast("Connection", cluster), "pairsim", on_labels))
    async with asyncio.timeout(10):
        await cluster.watched.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return reports


def pods(version: int, *active: str) -> dict[str, Any]:
    items = [pod_object(name, "active" if name in active else "passive", "west") for name in ("a", "b")]
    return {"metadata": {"resourceVersion": str(version)}, "items": items}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    monkeypatch.setattr(pod_labels, "_RETRY_SECONDS", 0.0)
    return FakeCluster()


@pytest.mark.parametrize("end", [[], [ApiUnreachableError("the connection broke")]])
async def test_the_next_watch_starts_where_the_last_one_ended(cluster: FakeCluster, end: list[ApiError]) -> None:
    bookmark = line("BOOKMARK", "", version=9)
    cluster.watches = [
        [line("MODIFIED", "b", "active", 8), b"", bookmark, *end],
        [line("MODIFIED", "a", "passive", 12)],
    ]
    reports = await watched_reports(cluster, [pods(7, "a")])
    assert [active for _, active in reports] == [{"a"}, {"a", "b"}, {"b"}]
    assert [query["resourceVersion"] for query in cluster.queries] == ["7", "9", "12"]


@pytest.mark.parametrize(
    "forgotten", [json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410}}).encode(), b"no json"]
)
async def test_pods_are_listed_again_only_if_the_version_is_forgotten(cluster: FakeCluster, forgotten: bytes) -> None:
    cluster.watches = [[forgotten]]
    reports = await watched_reports(cluster, [pods(7, "a"), pods(30, "b")])
    assert [active for _, active in reports] == [{"a"}, {"b"}]
    assert [query["resourceVersion"] for query in cluster.queries] == ["7", "30"]
