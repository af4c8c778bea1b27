"""The object store never goes back to an older version."""

from __future__ import annotations

from typing import Any

from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import Pod


def pod(version: int, uid: str = "1", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "sim-1", "uid": uid, "resourceVersion": str(version), "labels": labels}}


def test_an_older_version_is_ignored() -> None:
    store = ObjectStore(Pod)
    store.apply_event(pod(5, role="active"))
    assert store.apply_event(pod(4)) is None
    assert store.apply_response(pod(3)) is None
    (kept,) = store
    assert kept.metadata.labels == {"role": "active"}


def test_a_response_does_not_bring_back_a_deleted_object() -> None:
    store = ObjectStore(Pod)
    store.apply_event(pod(5))
    store.remove("sim-1")
    assert store.apply_response(pod(6)) is None
    assert len(store) == 0


def test_a_response_about_a_deleted_object_does_not_replace_its_namesake() -> None:
    store = ObjectStore(Pod)
    store.apply_event(pod(7, uid="2"))
    assert store.apply_response(pod(6, uid="1")) is None
    assert store.get("sim-1") == store.apply_event(pod(7, uid="2"))


def test_the_watch_reports_a_version_that_a_response_brought() -> None:
    """The response may contain a change of another writer, which no event handler has seen yet."""
    store = ObjectStore(Pod)
    store.apply_event(pod(5))
    assert store.apply_response(pod(7, paused="true")) is not None
    assert store.apply_event(pod(6, paused="true")) is None
    assert store.apply_event(pod(7, paused="true")) is not None
