"""As much of an API server with Chaos Mesh as a run leans on: the requests of a `Connection`, in memory."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

from pairsim_chaos.cluster.world import ClusterWorld
from pairsim_chaos.experiment.experiment import Experiment, load_experiments
from pairsim_controller.kube.api.connection import ConflictError, Connection, ObjectGoneError
from pairsim_controller.kube.api.port import ApiError

Item = dict[str, Any]
GROUP = "/apis/chaos-mesh.org/v1alpha1/namespaces/pairsim"


class FakeCluster:
    """Objects by path.

    Attributes:
        trouble: By method: what the next requests end in, and whether they are carried out all the same.
        made: Called with each object that was created.
        looked: Called before each request that reads.
        deleting: Called before each request that deletes.
        stuck: Whether objects stay when they are deleted, if nobody forces them.
        posting, post: Set when a creation has come in; a creation waits for it.
        watches: What each watch sends before it ends: lines, or an error that it breaks with.
    """

    namespace = "pairsim"

    def __init__(self) -> None:
        self.objects: dict[str, Item] = {}
        self.requests: list[tuple[str, str]] = []
        self.queries: list[Mapping[str, str]] = []
        self.trouble: dict[str, list[tuple[ApiError, bool]]] = {}
        self.made: Callable[[str, Item], None] = lambda _path, _item: None
        self.looked: Callable[[], None] = lambda: None
        self.deleting: Callable[[], None] = lambda: None
        self.stuck = False
        self.posting, self.post = asyncio.Event(), asyncio.Event()
        self.post.set()
        self.watches: list[list[bytes | ApiError]] = []
        self.watched = asyncio.Event()
        self._uids = 0

    def world(self, longest: float = 3600.0) -> ClusterWorld:
        world = ClusterWorld(None, "pairsim", longest=longest)
        world._connection = cast("Connection", self)
        return world

    @property
    def left(self) -> list[str]:
        return [path.rpartition("/")[2] for path in self.objects]

    def put(self, plural: str, name: str, **fields: Any) -> Item:
        """An object that nobody asked for, with a uid of its own."""
        metadata = {"name": name, "uid": self._uid(), **fields.pop("metadata", {})}
        item = {"metadata": metadata, **fields}
        self.objects[f"{GROUP}/{plural}/{name}"] = item
        return item

    def _uid(self) -> str:
        self._uids += 1
        return f"uid-{self._uids}"

    # --- what a Connection does

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Item | None = None,
        content: str = "application/json",
    ) -> Item:
        assert (content == "application/merge-patch+json") == (method == "PATCH")
        self.requests.append((method, path))
        if method == "POST":
            self.posting.set()
            await self.post.wait()
        if method == "GET":
            self.looked()
        if method == "DELETE":
            self.deleting()
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
                raise ConflictError(f"{made} is there")
            body["metadata"]["uid"] = self._uid()
            self.objects[made] = body
            self.made(made, body)
            return body
        if method == "GET" and not path.removeprefix(f"{GROUP}/").count("/"):
            return {"items": [item for where, item in self.objects.items() if where.rpartition("/")[0] == path]}
        if path not in self.objects:
            raise ObjectGoneError(f"{path} is not there")
        found = self.objects[path]
        if method == "DELETE":
            if body.get("preconditions", {}).get("uid", found["metadata"]["uid"]) != found["metadata"]["uid"]:
                raise ConflictError("it is another one")
            if self.stuck:
                found["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            else:
                del self.objects[path]
        if method == "PATCH":
            found["metadata"]["annotations"] |= body["metadata"]["annotations"]
            del self.objects[path]
            self.stuck = False
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
    """The status of a fault."""
    records = [{"id": f"pairsim/{pod}", "injectedCount": 1, "phase": "Injected"} for pod in pods]
    return {"conditions": [{"type": "AllInjected", "status": "True"}], "experiment": {"containerRecords": records}}


def failed(*pods: str, others: str = "Not Injected") -> Item:
    """The status of a fault that could not be injected into `pods`, with another one in the phase `others`."""
    events = [{"type": "Failed", "operation": "Apply", "message": "unable to set tcs"}]
    records = [{"id": f"pairsim/{pod}", "phase": "Not Injected/Wait", "events": events} for pod in pods]
    records.append({"id": "pairsim/other", "phase": others, "selectorKey": ".Target"})
    return {"experiment": {"containerRecords": records}}
