"""A world in a cluster, looked at through the API server, and hurt by Chaos Mesh.

An experiment is created as it is written, watched until Chaos Mesh has injected it, and deleted in the end, always:
one whose injection failed would block the later ones of the same pod.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import msgspec

from chaos.cluster.objects import AreaObject, ChaosObject, PodObject, place, pod
from chaos.experiment import Experiment, Schedule, StatusCheck, Workflow
from chaos.faults import PodFault
from chaos.insisting import to_its_end
from chaos.scene import Asked, Injection, RefusedFaultError, Scene, WorldError
from controller.kube.connection import Connection, GoneError
from controller.seam import ApiError

_INJECTED, _RECOVERED = 30.0, 60.0
_GONE = 60.0
_LOOK = 0.25
_WATCH = 60.0
_WORKFLOW = 3600.0
_PODS = {"labelSelector": "app.kubernetes.io/name=pairsim"}
T = TypeVar("T")


class ClusterWorld:
    """Of one namespace; use it as an async context manager."""

    def __init__(self, kubeconfig: Path | None, namespace: str | None, *, longest: float) -> None:
        """Opens nothing yet.

        Args:
            kubeconfig: None for the pod's own service account.
            namespace: None for the credentials' own.
            longest: Seconds that a fault lasts at most; then it is deleted, whatever its file says.
        """
        self._kubeconfig, self._namespace, self._longest = kubeconfig, namespace, longest
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        """Raises WorldError if there are no credentials."""
        try:
            self._connection = await Connection.open(self._kubeconfig)
        except ApiError as error:
            raise WorldError(str(error)) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    @property
    def namespace(self) -> str:
        """Of the world."""
        return self._namespace or self._open().namespace

    async def look(self) -> Scene:
        """See `chaos.scene.World`."""
        areas = await self._listed(f"/apis/pairsim.io/v1alpha1/namespaces/{self.namespace}/areas", AreaObject)
        pods = await self._listed(f"/api/v1/namespaces/{self.namespace}/pods", PodObject, _PODS)
        return Scene(tuple(map(place, areas)), tuple(found for each in pods if (found := pod(each)) is not None))

    async def labels(self, seen: Callable[[str, frozenset[str]], None]) -> None:
        """See `chaos.scene.World`; a watch, so that no label is missed."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        while True:
            known: dict[str, tuple[str, bool]] = {}
            try:
                async for line in self._open().lines(path, {**_PODS, "watch": "1"}, seconds=_WATCH):
                    event = msgspec.json.decode(line, type=_WatchEvent)
                    if event.type not in {"ADDED", "MODIFIED", "DELETED"}:
                        break
                    _heard(known, event, seen)
            except (ApiError, msgspec.MsgspecError):
                await asyncio.sleep(_LOOK)

    async def refusal(self, experiment: Experiment) -> str:
        """See `chaos.scene.World`."""
        if isinstance(experiment.spec, StatusCheck):
            return "a StatusCheck alone is no experiment: name it in a Workflow"
        try:
            await self._open().request("GET", self._path(experiment), query={"limit": "1"})
        except GoneError:
            return f"the cluster knows no {experiment.kind}: install Chaos Mesh 2.x"
        except ApiError as error:
            raise WorldError(str(error)) from error
        return ""

    async def inject(self, experiment: Experiment, asked: Asked) -> Injection:
        """See `chaos.scene.World`; checks are Chaos Mesh's own here."""
        document = msgspec.json.decode(msgspec.json.encode(experiment.document), type=dict[str, object])
        metadata = cast("dict[str, object]", document.setdefault("metadata", {}))
        metadata["namespace"] = experiment.namespace or self.namespace
        try:
            made = await self._open().request("POST", self._path(experiment), body=document)
        except GoneError as error:
            raise RefusedFaultError(f"the cluster knows no {experiment.kind}: install Chaos Mesh 2.x") from error
        except ApiError as error:
            raise WorldError(f"it was not taken: {error}") from error
        name = str(cast("dict[str, object]", made["metadata"])["name"])
        injection = _Created(self._open(), f"{self._path(experiment)}/{name}", experiment, self._longest)
        try:
            await injection.injected()
        except BaseException:
            await to_its_end(injection.recover())
            raise
        return injection

    def _path(self, experiment: Experiment) -> str:
        namespace = experiment.namespace or self.namespace
        return f"/apis/chaos-mesh.org/v1alpha1/namespaces/{namespace}/{experiment.plural}"

    def _open(self) -> Connection:
        if self._connection is None:
            raise WorldError("the cluster was not opened")
        return self._connection

    async def _listed(self, path: str, kind: type[T], query: dict[str, str] | None = None) -> list[T]:
        try:
            answer = await self._open().request("GET", path, query=query)
            return msgspec.convert(answer.get("items", []), list[kind])  # type: ignore[valid-type]
        except (ApiError, msgspec.MsgspecError) as error:
            raise WorldError(str(error)) from error


class _WatchEvent(msgspec.Struct, frozen=True):
    type: str
    object: PodObject


def _heard(known: dict[str, tuple[str, bool]], event: _WatchEvent, seen: Callable[[str, frozenset[str]], None]) -> None:
    """One event of the watch; tells of the areas whose labels it changed."""
    found, name = pod(event.object), event.object.metadata.name
    before = known.pop(name, ("", False))
    if found is not None and event.type != "DELETED":
        known[name] = found.area, found.role == "active"
    for area in {before[0], known.get(name, ("", False))[0]} - {""}:
        seen(area, frozenset(each for each, (its, active) in known.items() if active and its == area))


class _Created:
    """An experiment that exists in the cluster."""

    def __init__(self, connection: Connection, path: str, experiment: Experiment, longest: float) -> None:
        self._connection, self._path, self._experiment = connection, path, experiment
        self._longest = longest
        self._deleted = False
        self.targets: tuple[str, ...] = ()

    async def injected(self) -> None:
        """Waits for it; of a workflow or schedule only until it is there."""
        if isinstance(self._experiment.spec, Workflow | Schedule):
            return
        seen = await self._until("AllInjected", _INJECTED)
        self.targets = seen.targets

    async def over(self) -> None:
        """See `chaos.scene.Injection`."""
        spec = self._experiment.spec
        if isinstance(spec, Workflow):
            await self._until("Accomplished", min(self._longest, _WORKFLOW))
        elif isinstance(spec, Schedule):
            await asyncio.sleep(self._longest)
        elif not isinstance(spec, StatusCheck) and not (isinstance(spec, PodFault) and spec.once):
            lasting = spec.seconds or self._longest
            await asyncio.sleep(min(lasting, self._longest))
            if lasting <= self._longest:
                await self._until("AllRecovered", _RECOVERED)

    async def recover(self) -> None:
        """See `chaos.scene.Injection`."""
        if self._deleted:
            return
        try:
            await self._connection.request("DELETE", self._path)
            deadline = time.monotonic() + _GONE
            while time.monotonic() < deadline:
                await self._connection.request("GET", self._path)
                await asyncio.sleep(_LOOK)
        except GoneError:
            self._deleted = True
            return
        except ApiError as error:
            raise WorldError(f"{self._path} could not be deleted, do it by hand: {error}") from error
        raise WorldError(f"{self._path} is deleted and still there after {_GONE:g} s: Chaos Mesh cannot take it back")

    async def _until(self, condition: str, seconds: float) -> ChaosObject:
        deadline, complaint = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            try:
                seen = msgspec.convert(await self._connection.request("GET", self._path), ChaosObject)
            except GoneError as error:
                raise WorldError(f"{self._path} is gone: somebody else deleted it") from error
            except (ApiError, msgspec.MsgspecError) as error:
                complaint = str(error)
            else:
                if seen.has(condition):
                    return seen
                complaint = seen.complaint
            await asyncio.sleep(_LOOK)
        why = f": {complaint}" if complaint else ": Chaos Mesh does not say why"
        raise WorldError(f"it was not {condition} within {seconds:g} s{why}")
