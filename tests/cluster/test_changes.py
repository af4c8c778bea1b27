"""Planned changes: a new image, more areas, and documents that are refused."""

from __future__ import annotations

import time

import pytest

from pairsim.model.labels import AREA_LABEL, ROLE_LABEL
from tests.cluster.native.sandbox import ClusterError
from tests.cluster.report import Report
from tests.cluster.stream import Stream
from tests.cluster.watcher import Object
from tests.cluster.world import BOUNDS, World, area, eventually, label, plane

pytestmark = pytest.mark.cluster


class Redundancy:
    """Measures how long an area was not redundant, by its condition."""

    def __init__(self, world: World, name: str) -> None:
        self._name, self._since = name, 0.0
        self.gaps: list[float] = []
        world.areas.each(self._saw)

    def _saw(self, at: float, _event: str, found: Object) -> None:
        if found.get("metadata", {}).get("name") != self._name:
            return
        conditions = {c["type"]: c["status"] for c in found.get("status", {}).get("conditions", [])}
        if conditions.get("Redundant") == "True" and self._since:
            self.gaps.append(at - self._since)
            self._since = 0.0
        elif conditions.get("Redundant") == "False" and not self._since:
            self._since = at


def test_a_rolling_update_takes_passives_first(world: World, pair: str, report: Report) -> None:
    stream = Stream(world, pair)
    redundancy = Redundancy(world, pair)
    before = {pod.name for pod in world.component("simulator")}
    takeovers = [e for e in world.events(pair) if e["reason"] == "Takeover"]
    began = time.monotonic()
    stamp = f'{{"spec":{{"template":{{"metadata":{{"annotations":{{"rolled":"{time.time():.0f}"}}}}}}}}}}'
    for name in ("witness", "simulator"):
        world.kubectl("patch", "deployment", f"pairsim-{name}", "-p", stamp)
    for name in ("witness", "simulator"):
        world.kubectl("rollout", "status", f"deployment/pairsim-{name}", "--timeout=240s", seconds=270)
    report.add("rolling update of five simulators and two witnesses", time.monotonic() - began, "s")
    world.pods.wait("the old pods are gone", lambda pods: not before & pods.keys(), 120)
    world.redundant(pair)
    said = stream.stop()
    said.check()
    report.add("longest wait for an acknowledgement over a rolling update", said.longest, "s")
    for gap in redundancy.gaps:
        report.add("without a passive at a time during a rolling update", gap, "s")
    # An active may be lost on a machine that is too busy for its heartbeats; those that leave hand over.
    losses = [e for e in world.events(pair) if e["reason"] == "Takeover"]
    report.add("takeovers that nobody ordered during a rolling update", len(losses) - len(takeovers), "")
    assert world.status(pair)["lastTakeover"]["reason"] == "Switchover"


def test_a_plane_is_scaled_to_the_areas_it_is_cut_into(world: World) -> None:
    world.apply(plane("scaled"))
    try:
        world.kubectl("scale", "plane/scaled", "--replicas=2")
        names = _areas_of(world, "scaled", 2)
        assert names == {"scaled-0", "scaled-1"}
        for name in names:
            world.redundant(name)
        eventually("the plane tells of both", lambda: _told(world, "{.status.areas}") == "2", 20)
        eventually(
            "the plane is redundant",
            lambda: _told(world, "{.status.conditions[?(@.type=='Redundant')].status}") == "True",
            20,
        )
        # A running world is not cut anew, and says so.
        world.kubectl("scale", "plane/scaled", "--replicas=3")
        reason = "{.status.conditions[?(@.type=='Degraded')].reason}"
        eventually("it says why it is not cut anew", lambda: _told(world, reason) == "CutAlready", 20)
        assert _areas_of(world, "scaled", 2) == names
    finally:
        world.kubectl("delete", "plane", "scaled", "--cascade=foreground", "--timeout=60s", seconds=90)
        world.pods.wait("all are spares", lambda pods: not [p for p in pods.values() if label(p, AREA_LABEL)], 60)


def _told(world: World, path: str) -> str:
    return world.kubectl("get", "plane", "scaled", "-o", f"jsonpath={path}")


def _areas_of(world: World, of: str, number: int) -> set[str]:
    def names(areas: dict[str, Object]) -> set[str]:
        return {n for n, a in areas.items() if a["spec"]["plane"] == of and "deletionTimestamp" not in a["metadata"]}

    world.areas.wait(f"{of} has {number} areas", lambda areas: len(names(areas)) == number, 60)
    return names(world.areas.objects)


_FLAT = {"min": [0, 0, 0], "max": [0, 100, 50]}
_OUTSIDE = {"min": [0, 0, 0], "max": [1000, 100, 50]}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({**area("flat", "p", 1), "spec": {"plane": "p", "bounds": _FLAT}}, "min"),
        ({**area("many", "p", -1)}, "entities"),
        ({**area("x-any", "p", 1)}, "-any"),
        ({**area("unknown", "p", 1), "spec": {"plane": "p", "bounds": BOUNDS, "enitites": 3}}, "enitites"),
        ({**area("planeless", "p", 1), "spec": {"bounds": BOUNDS}}, "plane"),
        ({**plane("fast"), "spec": {**plane("fast")["spec"], "tickRate": 100_000}}, "tickRate"),
        ({**plane("flat"), "spec": {**plane("flat")["spec"], "bounds": _FLAT}}, "min"),
        (plane("hasty", detection={"electionTimeoutMs": 50}), "electionTimeoutMs"),
        (plane("narrow", 0.5, detection={"hangSeconds": 3}), "at least two ticks"),
        ({**plane("odd"), "spec": {**plane("odd")["spec"], "parameters": {"radius": [1]}}}, "parameters"),
    ],
    ids=lambda value: value["metadata"]["name"] if isinstance(value, dict) else None,
)
def test_a_wrong_document_is_refused_with_its_reason(world: World, wrong: Object, said: str) -> None:
    with pytest.raises(ClusterError, match=said):
        world.apply(wrong)


def test_the_definition_of_an_area_cannot_change(world: World, pair: str) -> None:
    with pytest.raises(ClusterError, match="stays as it was made"):
        world.kubectl("patch", "area", pair, "--type=merge", "-p", '{"spec": {"entities": 7}}')


def test_a_plane_keeps_how_soon_a_failure_is_detected(world: World) -> None:
    world.apply(plane("patient", detection={"electionTimeoutMs": 300, "hangSeconds": 5}))
    patch = '{"spec": {"detection": {"hangSeconds": 6}}}'
    try:
        with pytest.raises(ClusterError, match="a plane keeps its detection"):
            world.kubectl("patch", "plane", "patient", "--type=merge", "-p", patch)
    finally:
        world.kubectl("delete", "plane", "patient")


def test_an_impossible_area_explains_why(world: World) -> None:
    world.apply(area("orphan", "nowhere", 1))
    try:
        world.areas.wait("Ready says why", lambda areas: "nowhere is not there" in message(areas.get("orphan")), 30)
    finally:
        world.kubectl("delete", "area", "orphan", "--timeout=60s", seconds=90)
    assert not [p for p in world.pods.objects.values() if label(p, ROLE_LABEL) not in {"spare", ""}]


def message(found: Object | None) -> str:
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return next((c["message"] for c in conditions if c["type"] == "Ready"), "")
