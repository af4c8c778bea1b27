"""A world on Kubernetes as a target: observed through the API server, attacked by Chaos Mesh.

An experiment is created as it is written, watched until Chaos Mesh has injected it, and always deleted in the end: an
experiment whose injection failed would block later experiments on the same pod.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from pairsim.model.labels import API_VERSION
from pairsim.wording import duration
from pairsim_chaos.cluster.chaos_object import ManagedChaosObject
from pairsim_chaos.cluster.failures import foreign_selection, refused_experiment, refused_world
from pairsim_chaos.cluster.injections import CompositeInjection, SingleInjection
from pairsim_chaos.cluster.min_duration import min_duration
from pairsim_chaos.cluster.objects import GROUP, area_of, pod_of
from pairsim_chaos.cluster.pod_labels import PODS, OnLabels, watch_pod_labels
from pairsim_chaos.cluster.progress import collections
from pairsim_chaos.experiment.faults import EngineFault
from pairsim_chaos.experiment.model import Experiment, Schedule, StatusCheck, Workflow, faults_of
from pairsim_chaos.run.cleanup import roll_back, run_to_completion
from pairsim_chaos.spec.cron import every
from pairsim_chaos.target import Injection, StatusCheckHandler, UnsupportedFaultError, WorldError, WorldSnapshot
from pairsim_controller.kube.api.connection import ApiRefusedError, Connection, ObjectGoneError
from pairsim_controller.kube.api.objects import AreaObject, Pod
from pairsim_controller.kube.api.port import ApiError

_CHECK_ALONE = "a StatusCheck cannot run alone: use it in a Workflow"
_ENGINES_UNSUPPORTED = (
    "Chaos Mesh ends or stops whole containers, and an engine shares that of its node: run the experiment on one"
    " machine"
)
T = TypeVar("T")


class ClusterTarget:
    """The world of one namespace; use it as an async context manager."""

    def __init__(self, kubeconfig: Path | None, namespace: str | None, *, max_duration: float) -> None:
        """Creates a target that is not open yet.

        Args:
            kubeconfig: The credentials; None for the pod's own service account.
            namespace: The namespace of the world; None for the namespace of the credentials.
            max_duration: The longest duration of a fault, or of a whole workflow, in seconds; the experiment is deleted
                then, whatever its file says.
        """
        self._kubeconfig, self._namespace, self._max_duration = kubeconfig, namespace, max_duration
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        """Opens the connection.

        Raises:
            WorldError: The credentials are missing or unusable.
        """
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
        """Returns the namespace of the world."""
        return self._namespace or self._opened().namespace

    async def snapshot(self) -> WorldSnapshot:
        """Returns the areas and pods that the API server lists.

        Raises:
            WorldError: The API server does not answer.
        """
        areas = await self._list(f"/apis/{API_VERSION}/namespaces/{self.namespace}/areas", AreaObject)
        pods = await self._list(f"/api/v1/namespaces/{self.namespace}/pods", Pod, PODS)
        found = (pod for each in pods if (pod := pod_of(each)) is not None)
        return WorldSnapshot(tuple(map(area_of, areas)), tuple(found))

    async def watch_labels(self, on_labels: OnLabels) -> None:
        """Watches the labels of all pods and passes those of each area to `on_labels`, until cancelled."""
        await watch_pod_labels(self._opened(), self.namespace, on_labels)

    async def unsupported_reason(self, experiment: Experiment) -> str:
        """Returns why this cluster cannot run the experiment in time, or an empty string if it can.

        Raises:
            WorldError: The API server does not answer or refuses, or the experiment cannot concern this world.
        """
        spec = experiment.spec
        if isinstance(spec, StatusCheck):
            return _CHECK_ALONE
        if any(isinstance(fault, EngineFault) for fault in faults_of(spec)):
            return _ENGINES_UNSUPPORTED
        foreign = foreign_selection(faults_of(spec), experiment.namespace or self.namespace, self.namespace)
        if foreign:
            raise WorldError(foreign)
        given = f"{duration(self._max_duration)}: raise --max-duration"
        first = every(spec.schedule) if isinstance(spec, Schedule) else None
        if first is not None and first >= self._max_duration:
            return f"its first fault comes after {duration(first)}, but it lasts only {given}"
        needs = min_duration(spec) if isinstance(spec, Workflow) else 0.0
        if needs >= self._max_duration:
            return f"the workflow takes at least {duration(needs)}, but it may take only {given}"
        created = collections(spec) if isinstance(spec, Schedule | Workflow) else ()
        for plural in (experiment.plural, *created):
            try:
                await self._opened().request("GET", self._path(experiment, plural), query={"limit": "1"})
            except ObjectGoneError:
                return f"the cluster does not know {plural}.chaos-mesh.org: install Chaos Mesh 2.x"
            except ApiRefusedError as error:
                namespace = experiment.namespace or self.namespace
                raise WorldError(refused_experiment(namespace, self.namespace, error)) from error
            except ApiError as error:
                raise WorldError(str(error)) from error
        return ""

    async def inject(self, experiment: Experiment, handler: StatusCheckHandler) -> Injection:
        """Creates an experiment; Chaos Mesh performs its status checks itself, so `handler` is not used.

        Raises:
            UnsupportedFaultError: The cluster does not support the experiment.
            WorldError: The injection failed; the experiment was deleted again.
        """
        namespace, spec = experiment.namespace or self.namespace, experiment.spec
        if isinstance(spec, StatusCheck):
            raise UnsupportedFaultError(_CHECK_ALONE)
        if isinstance(spec, EngineFault):
            raise UnsupportedFaultError(_ENGINES_UNSUPPORTED)
        managed = ManagedChaosObject(self._opened(), namespace, experiment.plural, experiment.document)
        injection: SingleInjection | CompositeInjection
        if isinstance(spec, Workflow | Schedule):
            injection = CompositeInjection(managed, self._opened(), namespace, spec, self._max_duration)
        else:
            injection = SingleInjection(managed, spec, self._max_duration)
        try:
            await run_to_completion(managed.create())
            await injection.await_injected()
        except BaseException as error:
            await roll_back(injection.recover(), error)
            raise
        return injection

    def _path(self, experiment: Experiment, plural: str) -> str:
        return f"{GROUP}/namespaces/{experiment.namespace or self.namespace}/{plural}"

    def _opened(self) -> Connection:
        if self._connection is None:
            raise WorldError("the cluster was not opened")
        return self._connection

    async def _list(self, path: str, kind: type[T], query: dict[str, str] | None = None) -> list[T]:
        try:
            answer = await self._opened().request("GET", path, query=query)
            return msgspec.convert(answer.get("items", []), list[kind])  # type: ignore[valid-type]
        except ApiRefusedError as error:
            raise WorldError(refused_world(self.namespace, error)) from error
        except (ApiError, msgspec.MsgspecError) as error:
            raise WorldError(str(error)) from error
