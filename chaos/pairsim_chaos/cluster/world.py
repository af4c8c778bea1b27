"""A world in a cluster, looked at through the API server, and hurt by Chaos Mesh.

An experiment is created as it is written, watched until Chaos Mesh has injected it, and deleted in the end, always:
one whose injection failed would block the later ones of the same pod.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from pairsim_chaos.cluster.chaos_object import GROUP, Created
from pairsim_chaos.cluster.injections import MakingFaults, SingleFault
from pairsim_chaos.cluster.labels import PODS, Seen, follow
from pairsim_chaos.cluster.min_duration import shortest
from pairsim_chaos.cluster.objects import AreaObject, PodObject, place, pod
from pairsim_chaos.cluster.progress import collections
from pairsim_chaos.experiment.experiment import Experiment, Schedule, StatusCheck, Workflow
from pairsim_chaos.run.cleanup import to_its_end, undone
from pairsim_chaos.spec.cron import every
from pairsim_chaos.target import Asked, Injection, RefusedFaultError, Scene, WorldError
from pairsim_controller.kube.api.connection import Connection, ObjectGoneError
from pairsim_controller.kube.api.port import ApiError

T = TypeVar("T")


class ClusterWorld:
    """Of one namespace; use it as an async context manager."""

    def __init__(self, kubeconfig: Path | None, namespace: str | None, *, longest: float) -> None:
        """Opens nothing yet.

        Args:
            kubeconfig: None for the pod's own service account.
            namespace: None for the credentials' own.
            longest: Seconds that a fault, or all of a workflow, lasts at most; then it is deleted, whatever its file
                says.
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
        """See `pairsim_chaos.target.World`."""
        areas = await self._listed(f"/apis/pairsim.io/v1alpha1/namespaces/{self.namespace}/areas", AreaObject)
        pods = await self._listed(f"/api/v1/namespaces/{self.namespace}/pods", PodObject, PODS)
        return Scene(tuple(map(place, areas)), tuple(found for each in pods if (found := pod(each)) is not None))

    async def labels(self, seen: Seen) -> None:
        """See `pairsim_chaos.target.World`."""
        await follow(self._open(), self.namespace, seen)

    async def refusal(self, experiment: Experiment) -> str:
        """See `pairsim_chaos.target.World`."""
        spec = experiment.spec
        if isinstance(spec, StatusCheck):
            return "a StatusCheck alone is no experiment: name it in a Workflow"
        first = every(spec.schedule) if isinstance(spec, Schedule) else None
        if first is not None and first >= self._longest:
            return f"its first fault comes after {first:g} s, and it lasts {self._longest:g} s: give more --at-most"
        needs = shortest(spec) if isinstance(spec, Workflow) else 0.0
        if needs >= self._longest:
            return f"all of it takes {needs:g} s at least, and it is given {self._longest:g} s: give more --at-most"
        makes = collections(spec) if isinstance(spec, Schedule | Workflow) else ()
        for plural in (experiment.plural, *makes):
            try:
                await self._open().request("GET", self._path(experiment, plural), query={"limit": "1"})
            except ObjectGoneError:
                return f"the cluster knows no {plural}.chaos-mesh.org: install Chaos Mesh 2.x"
            except ApiError as error:
                raise WorldError(str(error)) from error
        return ""

    async def inject(self, experiment: Experiment, asked: Asked) -> Injection:
        """See `pairsim_chaos.target.World`; checks are Chaos Mesh's own here."""
        namespace, spec = experiment.namespace or self.namespace, experiment.spec
        if isinstance(spec, StatusCheck):
            raise RefusedFaultError("a StatusCheck alone is no experiment: name it in a Workflow")
        created = Created(self._open(), namespace, experiment.plural, experiment.document)
        injection: SingleFault | MakingFaults
        if isinstance(spec, Workflow | Schedule):
            injection = MakingFaults(created, self._open(), namespace, spec, self._longest)
        else:
            injection = SingleFault(created, spec, self._longest)
        try:
            await to_its_end(created.create())
            await injection.begun()
        except BaseException as error:
            await undone(injection.recover(), error)
            raise
        return injection

    def _path(self, experiment: Experiment, plural: str) -> str:
        return f"{GROUP}/namespaces/{experiment.namespace or self.namespace}/{plural}"

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
