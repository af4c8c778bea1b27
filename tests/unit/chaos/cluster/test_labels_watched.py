"""Labels are told in the order in which they were written, across watches that end and break."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import msgspec
import pytest

from pairsim_chaos.cluster import labels
from pairsim_chaos.cluster.objects import PodObject
from pairsim_controller.kube.api.connection import ApiUnreachableError, Connection
from pairsim_controller.kube.api.port import ApiError
from tests.unit.chaos.cluster.fake import FakeCluster
from tests.unit.chaos.cluster.test_objects import pod_object

Told = list[tuple[str, set[str]]]


def line(kind: str, name: str, role: str = "", version: int = 0) -> bytes:
    body = pod_object(name, role, "west" if role else "", resourceVersion=str(version))
    return json.dumps({"type": kind, "object": body}).encode()


def test_labels_are_told_in_the_order_in_which_they_were_written() -> None:
    told: Told = []
    known = labels.Labels(lambda area, active: told.append((area, set(active))))

    def event(kind: str, name: str, role: str = "", area: str = "") -> None:
        known.changed(kind, msgspec.convert(pod_object(name, role, area), PodObject))

    event("ADDED", "a", "active", "west")
    event("ADDED", "b", "passive", "west")
    event("MODIFIED", "b", "active", "west")
    event("MODIFIED", "a", "passive", "west")
    event("DELETED", "b", "active", "west")
    event("ADDED", "c", "spare")
    assert told == [("west", each) for each in ({"a"}, {"a"}, {"a", "b"}, {"b"}, set())]


def test_a_list_is_one_moment() -> None:
    told: Told = []
    known = labels.Labels(lambda area, active: told.append((area, set(active))))

    def listed(*pods: tuple[str, str, str]) -> None:
        known.listed([msgspec.convert(pod_object(*each), PodObject) for each in pods])

    listed(("a", "active", "west"), ("b", "passive", "west"), ("c", "active", "east"))
    listed(("a", "passive", "west"), ("b", "active", "west"))
    assert told == [("east", {"c"}), ("west", {"a"}), ("east", set()), ("west", {"b"})]


async def followed(cluster: FakeCluster, listed: list[dict[str, Any]]) -> Told:
    """What is told until all watches of a cluster have been used."""
    told: Told = []
    lists = iter(listed)

    async def request(method: str, path: str, **_more: object) -> dict[str, Any]:
        assert (method, path) == ("GET", "/api/v1/namespaces/pairsim/pods")
        return next(lists)

    cluster.request = request  # type: ignore[method-assign, assignment]
    task = asyncio.create_task(
        labels.follow(cast("Connection", cluster), "pairsim", lambda area, active: told.append((area, set(active))))
    )
    async with asyncio.timeout(10):
        await cluster.watched.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return told


def pods(version: int, *active: str) -> dict[str, Any]:
    items = [pod_object(name, "active" if name in active else "passive", "west") for name in ("a", "b")]
    return {"metadata": {"resourceVersion": str(version)}, "items": items}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    monkeypatch.setattr(labels, "_AGAIN", 0.0)
    return FakeCluster()


@pytest.mark.parametrize("end", [[], [ApiUnreachableError("the connection broke")]])
async def test_the_next_watch_begins_where_the_last_one_ended(cluster: FakeCluster, end: list[ApiError]) -> None:
    bookmark = line("BOOKMARK", "", version=9)
    cluster.watches = [
        [line("MODIFIED", "b", "active", 8), b"", bookmark, *end],
        [line("MODIFIED", "a", "passive", 12)],
    ]
    told = await followed(cluster, [pods(7, "a")])
    assert [active for _, active in told] == [{"a"}, {"a", "b"}, {"b"}]
    assert [query["resourceVersion"] for query in cluster.queries] == ["7", "9", "12"]


@pytest.mark.parametrize(
    "forgotten", [json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410}}).encode(), b"no json"]
)
async def test_all_is_listed_again_only_if_the_version_is_forgotten(cluster: FakeCluster, forgotten: bytes) -> None:
    cluster.watches = [[forgotten]]
    told = await followed(cluster, [pods(7, "a"), pods(30, "b")])
    assert [active for _, active in told] == [{"a"}, {"b"}]
    assert [query["resourceVersion"] for query in cluster.queries] == ["7", "30"]
