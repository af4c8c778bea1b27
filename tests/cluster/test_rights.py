"""The controller's requests to the API server: few when idle, and exactly those that its rights allow."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pairsim.model.labels import PAUSED_ANNOTATION
from tests.cluster.report import Report
from tests.cluster.watcher import Object
from tests.cluster.world import World, eventually

pytestmark = pytest.mark.cluster

Right = tuple[str, str, str]
IDLE_SECONDS = 30.0


def test_an_idle_world_sends_few_requests(world: World, pair: str, report: Report) -> None:
    world.redundant(pair)
    time.sleep(10)  # what comes of the making of it ends
    began = time.time()
    time.sleep(IDLE_SECONDS)  # what is counted is what happens while nothing does
    asked = [e for e in world.cluster.audit() if began <= _at(e) <= began + IDLE_SECONDS]
    report.add("API requests of an idle world", len(asked) / IDLE_SECONDS, "1/s")
    report.add("controller's memory with one area", _memory(world), "MB")


def test_an_event_that_repeats_becomes_one_event_with_a_count(world: World, pair: str) -> None:
    def counted() -> bool:
        world.kubectl("annotate", "area", pair, f"{PAUSED_ANNOTATION}=true")
        world.areas.wait("it is paused", lambda areas: _degraded(areas[pair]) == "Paused", 30)
        world.kubectl("annotate", "area", pair, f"{PAUSED_ANNOTATION}-")
        world.areas.wait("it is not paused", lambda areas: _degraded(areas[pair]) != "Paused", 30)
        return any(event.get("series", {}).get("count", 0) > 1 for event in world.events(pair))

    eventually("an event has a count", counted, 60)


def test_every_right_is_used_and_no_right_is_missing(world: World, pair: str) -> None:
    """This test runs last: it evaluates the controller's requests of all tests."""
    world.redundant(pair)
    events = world.cluster.audit()
    role = json.loads(world.kubectl("get", "role", "pairsim-controller", "-o", "json"))
    # An API server that has just started refuses what a role allows, until it has read the roles.
    refused = [e for e in events if e["responseStatus"].get("code") == 403 and not _is_allowed(e, role["rules"])]
    assert not refused, refused[0]
    asked = {right for e in events if "objectRef" in e for right in _rights(e)}
    allowed = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert allowed - asked == set(), "rights that nothing needs"
    bindings = json.loads(world.cluster.kubectl("get", "clusterrolebindings", "-o", "json"))["items"]
    assert not [b for b in bindings if any(s.get("namespace") == "pairsim" for s in b.get("subjects") or [])]


def _degraded(area: Object) -> str:
    return next(c["reason"] for c in area["status"]["conditions"] if c["type"] == "Degraded")


def _rights(event: dict[str, Any]) -> Iterator[Right]:
    found = event["objectRef"]
    resource = "/".join(part for part in (found["resource"], found.get("subresource", "")) if part)
    yield found.get("apiGroup", ""), resource, event["verb"]
    if event["verb"] == "patch" and event["responseStatus"].get("code") == 201:
        yield found.get("apiGroup", ""), resource, "create"  # asked for by an apply of what was not there


def _is_allowed(event: dict[str, Any], rules: list[dict[str, Any]]) -> bool:
    """Returns whether a role allows all that a request needs."""
    if "objectRef" not in event:
        return False
    return all(
        any(
            group in rule["apiGroups"]
            and resource in rule["resources"]
            and verb in rule["verbs"]
            and event["objectRef"].get("name") in rule.get("resourceNames", [event["objectRef"].get("name")])
            for rule in rules
        )
        for group, resource, verb in _rights(event)
    )


def _at(event: dict[str, Any]) -> float:
    return dt.datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()


def _memory(world: World) -> float:
    """Returns the largest resident memory of a controller in MB."""
    words = ("grep", "VmRSS", "/proc/1/status")
    pods = world.component("controller")
    return max(int(world.kubectl("exec", pod.name, "--", *words).split()[1]) for pod in pods) / 1024
