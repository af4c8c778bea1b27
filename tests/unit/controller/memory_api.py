"""An API server in memory, behind the controller's port; it keeps every state that a reader could have seen."""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any

from pairsim_controller.kube.api.port import AREAS, PODS, ApiError, Body, ChangedError, Resource

Watcher = Callable[[Resource, str, Body | None], None]


class MemoryApi:
    """Objects, their history, and the faults that a test sets.

    `held` keeps watches from telling anything; `down` refuses everything; `hung` answers nothing; `fail` is asked
    before each request and may raise.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.versions = itertools.count(1)
        self.watchers: list[Watcher] = []
        self.held = False
        self.down = False
        self.hung = False
        self.fail: Callable[[Resource, dict[str, Any]], None] = lambda _resource, _body: None
        self.requests: list[tuple[str, str]] = []
        self.events: list[tuple[str, str, str]] = []
        self.labels: list[dict[str, tuple[str, str, str]]] = []
        self.applied: dict[tuple[str, str], set[tuple[str, ...]]] = {}
        self._untold: list[tuple[Resource, str, Body | None]] = []

    # --- what the controller does

    async def apply(self, resource: Resource, body: Body, *, subresource: str = "", force: bool = True) -> Body:
        given: dict[str, Any] = copy.deepcopy(body)
        name = given["metadata"]["name"]
        self.requests.append((resource.plural + ("/" + subresource if subresource else ""), name))
        await asyncio.sleep(0)
        if self.hung:
            await asyncio.sleep(3600)
        if self.down:
            raise ApiError("the API server does not answer")
        self.fail(resource, given)
        found = self.objects.get((resource.plural, name))
        if found is None:
            if resource in {PODS, AREAS}:
                raise ChangedError(f"{name} is gone")
            found = {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": {"name": name, "uid": f"uid-{name}"},
            }
        meta = found["metadata"]
        version = given["metadata"].get("resourceVersion")
        if version not in {None, meta.get("resourceVersion")}:
            raise ChangedError(f"{name} is at {meta['resourceVersion']}, not at {version}")
        if given["metadata"].get("uid", meta["uid"]) != meta["uid"]:
            raise ChangedError(f"{name} is another one")
        found = copy.deepcopy(found)
        if subresource == "status":
            found["status"] = given["status"]
        else:
            self._merge(resource, found, given)
        return self._store(resource, found)

    async def create(self, resource: Resource, body: Body) -> Body:
        name = str(body["metadata"]["name"])  # type: ignore[index]
        await asyncio.sleep(0)
        if (resource.plural, name) in self.objects:
            raise ChangedError(f"{name} is there")
        self.requests.append((f"{resource.plural}/new", name))
        given = copy.deepcopy(body)
        given["metadata"]["uid"] = f"uid-{name}"  # type: ignore[index]
        return self._store(resource, given)

    def _merge(self, resource: Resource, found: dict[str, Any], given: dict[str, Any]) -> None:
        """Removes the fields that this manager applied before and does not name any more."""
        mine = self.applied.setdefault((resource.plural, given["metadata"]["name"]), set())
        for field in ("labels", "annotations"):
            kept = found["metadata"].setdefault(field, {})
            for key in [k for f, k in mine if f == field and k not in given["metadata"].get(field, {})]:
                kept.pop(key, None)
                mine.discard((field, key))
            for key, value in given["metadata"].get(field, {}).items():
                kept[key] = value
                mine.add((field, key))
        for field in ("finalizers", "ownerReferences"):
            if field in given["metadata"]:
                found["metadata"][field] = given["metadata"][field]
        if "spec" in given:
            found["spec"] = {**found.get("spec", {}), **given["spec"]}

    def emit(self, about: Body, reason: str, note: str, *, warning: bool, at: float | None = None) -> None:
        self.events.append((str(about["name"]), reason, note))

    # --- what others do

    def put(self, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        """Creates or replaces."""
        made = copy.deepcopy(body)
        made["metadata"].setdefault("uid", f"uid-{next(self.versions)}")
        made["metadata"].setdefault("generation", 1)
        return self._store(resource, made)

    def get(self, resource: Resource, name: str) -> dict[str, Any]:
        return copy.deepcopy(self.objects[resource.plural, name])

    def change(self, resource: Resource, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        found = self.get(resource, name)
        change(found)
        self._store(resource, found)

    def remove(self, resource: Resource, name: str) -> None:
        """Removes an object at once, or marks it if it has a finalizer."""
        found = self.objects.get((resource.plural, name))
        if found is not None and found["metadata"].get("finalizers"):
            self.change(resource, name, lambda x: x["metadata"].setdefault("deletionTimestamp", "2030-01-01T00:00:00Z"))
        elif found is not None:
            self._gone(resource, name)

    def watch(self, watcher: Watcher) -> None:
        """Lists all objects, then reports changes."""
        self.watchers.append(watcher)
        for (plural, name), found in list(self.objects.items()):
            watcher(_BY_PLURAL[plural], name, copy.deepcopy(found))

    def release(self) -> None:
        """Lets held watches continue."""
        self.held = False
        untold, self._untold = self._untold, []
        for told in untold:
            self._tell(*told)

    def counted(self) -> Counter[str]:
        return Counter(what for what, _name in self.requests)

    def _store(self, resource: Resource, found: dict[str, Any]) -> dict[str, Any]:
        name = found["metadata"]["name"]
        if found["metadata"].get("deletionTimestamp") and not found["metadata"].get("finalizers") and resource == AREAS:
            self._gone(resource, name)
            return found
        found["metadata"]["resourceVersion"] = str(next(self.versions))
        self.objects[resource.plural, name] = found
        if resource == PODS:
            self._remember()
        self._tell(resource, name, copy.deepcopy(found))
        return copy.deepcopy(found)

    def _gone(self, resource: Resource, name: str) -> None:
        del self.objects[resource.plural, name]
        self.applied.pop((resource.plural, name), None)
        if resource == PODS:
            self._remember()
        self._tell(resource, name, None)

    def _tell(self, resource: Resource, name: str, body: Body | None) -> None:
        if self.held:
            self._untold.append((resource, name, body))
            return
        for watcher in self.watchers:
            asyncio.get_running_loop().call_soon(watcher, resource, name, body)

    def _remember(self) -> None:
        """Keeps the present labels of all pods, and checks that no area has two actives."""
        now = {}
        for (plural, name), found in self.objects.items():
            labels, notes = found["metadata"].get("labels", {}), found["metadata"].get("annotations", {})
            if plural == PODS.plural and "pairsim.io/role" in labels:
                now[name] = (
                    labels["pairsim.io/role"],
                    labels.get("pairsim.io/area", ""),
                    notes.get("pairsim.io/term", ""),
                )
        self.labels.append(now)
        actives = Counter(area for role, area, _term in now.values() if role == "active")
        assert all(count == 1 for count in actives.values()), f"two actives: {now}"


def _resources() -> dict[str, Resource]:
    from pairsim_controller.kube.api.port import WATCHED  # noqa: PLC0415 - a table of this module alone

    return {resource.plural: resource for resource in WATCHED}


_BY_PLURAL = _resources()
