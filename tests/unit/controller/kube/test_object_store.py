"""What the controller's copy takes in, and what it passes over."""

from __future__ import annotations

from typing import Any

from pairsim_controller.kube.api.object_store import ObjectStore
from pairsim_controller.kube.api.objects import Pod


def pod(version: int, uid: str = "1", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "sim-1", "uid": uid, "resourceVersion": str(version), "labels": labels}}


def test_what_is_older_is_passed_over() -> None:
    mirror = ObjectStore(Pod)
    mirror.apply_event(pod(5, role="active"))
    assert mirror.apply_event(pod(4)) is None
    assert mirror.apply_response(pod(3)) is None
    (kept,) = mirror
    assert kept.metadata.labels == {"role": "active"}


def test_an_answer_does_not_bring_back_what_is_gone() -> None:
    mirror = ObjectStore(Pod)
    mirror.apply_event(pod(5))
    mirror.remove("sim-1")
    assert mirror.apply_response(pod(6)) is None
    assert len(mirror) == 0


def test_an_answer_about_the_one_before_does_not_replace_the_one_of_the_same_name() -> None:
    mirror = ObjectStore(Pod)
    mirror.apply_event(pod(7, uid="2"))
    assert mirror.apply_response(pod(6, uid="1")) is None
    assert mirror.get("sim-1") == mirror.apply_event(pod(7, uid="2"))


def test_the_watch_is_heard_of_a_version_that_an_answer_brought() -> None:
    """It may hold what somebody else wrote just before, and nobody has looked at that yet."""
    mirror = ObjectStore(Pod)
    mirror.apply_event(pod(5))
    assert mirror.apply_response(pod(7, paused="true")) is not None
    assert mirror.apply_event(pod(6, paused="true")) is None
    assert mirror.apply_event(pod(7, paused="true")) is not None
