"""The part of an API server with Chaos Mesh that a run needs: the requests of a `Connection`, in memory."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

from pairsim_chaos.cluster.target import ClusterTarget
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.experiment.model import Experiment
from pairsim_controller.kube.api.connection import REQUEST_SECONDS, ConflictError, Connection, ObjectGoneError
from pairsim_controller.kube.api.port import ApiError
from tests.chaos_mesh_pipeline import passed

Item = dict[str, Any]
GROUP = "/apis/chaos-mesh.org/v1alpha1/namespaces/pairsim"


class FakeCluster:
    """An API server with objects by path.

    Attributes:
        trouble: By method, the errors of the next requests, each with whether the request is carried out nevertheless.
        on_created: Called with each object that was created.
        on_read: Called before each request that reads.
        on_delete: Called before each request that deletes.
        stuck: Whether deleted objects stay although no finalizer keeps them.
        timeouts: The deadlines of all requests.
        post_received: Set when a creation has arrived.
        post_allowed: Every creation waits for this event.
        watches: The lines that each watch sends before it ends, or the error that breaks it.
    """

    namespace = "pairsim"

    def __init__(self) -> None:
        self.objects: dict[str, Item] = {}
        self.requests: list[tuple[str, str]] = []
        self.queries: list[Mapping[str, str]] = []
        self.trouble: dict[str, list[tuple[ApiError, bool]]] = {}
        self.on_created: Callable[[str, Item], None] = lambda _path, _item: None
        self.on_read: Callable[[], None] = lambda: None
        self.on_delete: Callable[[], None] = lambda: None
        self.stuck = False
        self.timeouts: list[float] = []
        self.post_received, self.post_allowed = asyncio.Event(), asyncio.Event()
        self.post_allowed.set()
        self.watches: list[list[bytes | ApiError]] = []
        self.watched = asyncio.Event()
        self._uids = 0

    def target(self, max_duration: float = 3600.0) -> ClusterTarget:
        target = ClusterTarget(None, "pairsim", max_duration=max_duration)
        target._connection = cast("Connection", self)
        return target

    @property
    def names(self) -> list[str]:
        return [path.rpartition("/")[2] for path in self.objects]

    def put(self, plural: str, name: str, **fields: Any) -> Item:
        """Stores an object of another client, with a new uid."""
        metadata = {"name": name, "uid": self._uid(), **fields.pop("metadata", {})}
        item = {"metadata": metadata, **fields}
        self.objects[f"{GROUP}/{plural}/{name}"] = item
        return item

    def _uid(self) -> str:
        self._uids += 1
        return f"uid-{self._uids}"

    def pass_over_faults(self) -> None:
        """Makes one pass of Chaos Mesh over each network fault, on a kernel that cannot shape traffic."""
        prefix = f"{GROUP}/podnetworkchaos/"
        for path in [each for each in self.objects if each.startswith(f"{GROUP}/networkchaos/")]:
            if self.objects[path].get("status") is None:
                continue
            before = frozenset(f"pairsim/{each.removeprefix(prefix)}" for each in self.objects if prefix in each)
            after, records = passed(self.objects[path], before)
            for pod in records - before:
                self.put("podnetworkchaos", pod.partition("/")[2])
            if after is None:
                del self.objects[path]
            else:
                self.objects[path] = after

    # --- the methods of a Connection

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Item | None = None,
        seconds: float = REQUEST_SECONDS,
    ) -> Item:
        self.timeouts.append(seconds)
        self.requests.append((method, path))
        if method == "POST":
            self.post_received.set()
            await self.post_allowed.wait()
        if method == "GET":
            self.on_read()
        if method == "DELETE":
            self.on_delete()
        await asyncio.sleep(0)
        trouble, done = self.trouble[method].pop(0) if self.trouble.get(method) else (None, True)
        answer = self._do(method, path, copy.deepcopy(body) or {}) if done else {}
        if trouble is not None:
            raise trouble
        return answer

    def _do(self, method: str, path: str, body: Item) -> Item:
        if method == "POST":
            made = f"{path}/{body['metadata']['name']}"
            if made in self.objects:
                raise ConflictError(f"{made} exists")
            body["metadata"]["uid"] = self._uid()
            self.objects[made] = body
            self.on_created(made, body)
            return body
        if method == "GET" and not path.removeprefix(f"{GROUP}/").count("/"):
            return {"items": [item for where, item in self.objects.items() if where.rpartition("/")[0] == path]}
        if path not in self.objects:
            raise ObjectGoneError(f"{path} does not exist")
        found = self.objects[path]
        if method == "DELETE":
            if body.get("preconditions", {}).get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
                raise ConflictError("the uid differs")
            if self.stuck or found["metadata"].get("finalizers"):
                found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            else:
                del self.objects[path]
        return found

    async def lines(self, path: str, query: Mapping[str, str], *, seconds: float) -> AsyncIterator[bytes]:
        self.queries.append(query)
        assert float(query["timeoutSeconds"]) < seconds
        if not self.watches:
            self.watched.set()
            await asyncio.Event().wait()
        for line in self.watches.pop(0):
            if isinstance(line, ApiError):
                raise line
            yield line


def experiment(kind: str, spec: str, metadata: str = "{name: it, annotations: {about: it}}") -> Experiment:
    head = f"apiVersion: chaos-mesh.org/v1alpha1\nkind: {kind}\nmetadata: {metadata}\nspec:\n"
    (found,) = load_experiments(head + spec)
    return found


def injected(*pods: str) -> Item:
    """Returns the status of an injected fault."""
    records = [{"id": f"pairsim/{pod}", "injectedCount": 1, "phase": "Injected"} for pod in pods]
    return {"conditions": [{"type": "AllInjected", "status": "True"}], "experiment": {"containerRecords": records}}


def failed(*pods: str, others: str = "Not Injected") -> Item:
    """Returns the status of a fault whose injection failed in `pods`, with another pod in the phase `others`."""
    events = [{"type": "Failed", "operation": "Apply", "message": "unable to set tcs"}]
    records: list[Item] = [{"id": f"pairsim/{pod}", "phase": "Not Injected/Wait", "events": events} for pod in pods]
    records.append({"id": "pairsim/other", "phase": others, "selectorKey": ".Target"})
    return {"experiment": {"containerRecords": records}}
