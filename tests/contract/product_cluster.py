"""One of the few places where the guard touches the product: what the controller writes in a cluster.

As in `product.py`, who moves or renames something in the product changes this file, and no golden file.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any, cast

import msgspec

from pairsim.model.labels import RELEASE_FINALIZER
from pairsim.model.status import Role
from pairsim_controller.kube.api.connection import Connection
from pairsim_controller.kube.api.events import EventRecorder
from pairsim_controller.kube.api.lease import Lease
from pairsim_controller.kube.api.objects import AreaObject, AreaStatus, PlaneObject, Pod
from pairsim_controller.kube.api.port import AREAS, WATCHED, Resource
from pairsim_controller.kube.api.writes import KubeApi
from pairsim_controller.kube.plane_reconciler import plane_status
from pairsim_controller.kube.pods import label_patch
from pairsim_controller.kube.status.conditions import area_status
from pairsim_controller.kube.status.status_events import event_of, events_between
from pairsim_controller.plan.view import Kind, Label, Report, View
from pairsim_controller.story.entry import EntryKind, plain_entry
from pairsim_controller.story.membership import membership_entry
from tests.contract.product_bytes import lease_name
from tests.unit.controller.builders import assignment, dead, pair, process, replica, silent, spare, view

Body = dict[str, Any]
_PAIR = assignment("sim-1", "sim-2", "witness-1")
_FIRST, _SECOND, _WITNESS = pair(_PAIR)


class _Recorder:
    """Takes the place of a connection to an API server, and keeps what it is asked for."""

    def __init__(self) -> None:
        self.requests: list[Body] = []

    async def request(self, method: str, path: str, **more: object) -> Body:
        self.requests.append({"method": method, "path": path, **{k: v for k, v in more.items() if k != "seconds"}})
        return {}


class _Store:
    """Takes the place of an API server that has no Lease."""

    def __init__(self) -> None:
        self.made: list[tuple[Resource, Body]] = []

    async def get(self, _resource: Resource, _name: str) -> None:
        return None

    async def create(self, resource: Resource, body: Body) -> Body:
        self.made.append((resource, body))
        return body | {"metadata": body["metadata"] | {"resourceVersion": "1"}}


def resources() -> list[list[str]]:
    """Returns the kinds of object that the controller watches."""
    return [list(resource) for resource in WATCHED]


def finalizer() -> str:
    """Returns the finalizer of an Area."""
    return RELEASE_FINALIZER


async def lease() -> Body:
    """Returns the Lease that a controller makes."""
    store = _Store()
    await Lease(cast("Any", store), lease_name(), "me").acquire()
    ((resource, body),) = store.made
    return {"resource": list(resource), "body": body}


async def requests() -> list[Body]:
    """Returns the requests of a write and of an event."""
    recorder = _Recorder()
    connection = cast("Connection", recorder)
    events = EventRecorder(connection, "worlds", "me")
    api = KubeApi(connection, "worlds", events)
    await api.apply(AREAS, {"metadata": {"name": "north"}, "status": {}}, subresource="status")
    await api.apply(AREAS, {"metadata": {"name": "north"}}, force=False)
    for warning in (False, True):
        api.emit({"kind": "Area", "name": "north", "uid": "u"}, "Ready", f"{warning}", warning=warning)
    writing = asyncio.create_task(events.run())
    async with asyncio.timeout(5):
        while len(recorder.requests) < 4:
            await asyncio.sleep(0.001)
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing
    return recorder.requests


def pod_patches() -> dict[str, Body]:
    """Returns what is written on a pod in each role."""
    head = {"name": "a", "uid": "u", "resourceVersion": "1"}
    pod = msgspec.convert({"metadata": head, "spec": {"containers": [{"name": "simulator"}]}}, Pod)
    return {role.value: label_patch(pod, Label("" if role is Role.SPARE else "north", role, 3), "physics")
            for role in Role}  # fmt: skip


def kinds() -> list[str]:
    """Returns the kinds of process, which are names of containers as well."""
    return [kind.value for kind in Kind]


def told(before: Body, after: Body) -> list[tuple[str, bool]]:
    """Returns the events between two statuses: each reason, and whether it is a warning."""
    statuses = [msgspec.convert(one, AreaStatus) for one in (before, after)]
    entry = membership_entry("north", statuses[0].assignment, statuses[1].assignment, 0.0)
    members = [event] if entry is not None and (event := event_of(entry)) is not None else []
    return [(s.reason, s.warning) for s in (*members, *events_between(*statuses))]


def entry_told(kind: str) -> list[tuple[str, bool]]:
    """Returns the event that an entry of the history becomes: its reason, and whether it is a warning."""
    event = event_of(plain_entry(cast("EntryKind", kind), "north", "a sentence", 0.0))
    return [(event.reason, event.warning)] if event is not None else []


def conditions() -> dict[str, list[tuple[str, str, str]]]:
    """Returns the conditions of an Area in many situations."""
    whole = view(_FIRST, _SECOND, _WITNESS, recorded=(_PAIR,))
    alone = process("sim-1", replica("sim-1", _PAIR, Role.ACTIVE))
    seen: dict[str, tuple[View, Iterable[Report]]] = {
        "whole": (whole, ()),
        "paused": (msgspec.structs.replace(whole, paused=True), ()),
        "something waits": (whole, [Report("west", "no spare")]),
        "something is slow": (whole, [Report("west", "too slow", reason="Slow")]),
        "nobody": (view(recorded=(_PAIR,)), ()),
        "unfounded": (view(spare("sim-1")), ()),
        "no witness": (view(_FIRST, _SECOND, silent("witness-1", 1), recorded=(_PAIR,)), ()),
        "alone": (view(alone, dead("sim-2"), _WITNESS, recorded=(_PAIR,)), ()),
        "no active": (view(dead("sim-1"), _SECOND, _WITNESS, recorded=(_PAIR,)), ()),
        "deleted": (view(dead("sim-1"), _SECOND, _WITNESS, recorded=(_PAIR,), areas=()), ()),
    }
    return {name: _conditions(area_status(look, AreaStatus(), warnings=list(said), last=None, generation=1, wall=0.0))
            for name, (look, said) in seen.items()}  # fmt: skip


def _conditions(status: Any) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in msgspec.to_builtins(status)["conditions"]]


def plane_conditions(plane: Body, areas: list[Body]) -> list[tuple[str, str, str]]:
    """Returns the conditions of a Plane that has these areas."""
    return _conditions(
        plane_status(msgspec.convert(plane, PlaneObject), [msgspec.convert(a, AreaObject) for a in areas], 0.0)
    )
