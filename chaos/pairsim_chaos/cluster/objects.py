"""The objects of a cluster that a run reads, and their conversion to a `WorldSnapshot`; pure.

Chaos Mesh reports its progress in `status.conditions` and `status.experiment.containerRecords` of
`chaos-mesh.org/v1alpha1`. The progress of a workflow shows in its `WorkflowNode`s, one for each template that has
started.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pairsim.addresses import http_url
from pairsim.model.labels import APP_NAME, AREA_LABEL, COMPONENT_LABEL, NAME_LABEL, ROLE_LABEL
from pairsim_chaos.cluster.failures import injection_failures
from pairsim_chaos.target import AreaView, TargetPod
from pairsim_controller.kube.api.objects import AreaObject, ObjectMeta, Pod

GROUP = "/apis/chaos-mesh.org/v1alpha1"
"""The path of the API of Chaos Mesh."""
HTTP_PORT = 8080
_ABORT = "workflow.chaos-mesh.org/abort"
_OWN_SELECTOR = "."
"""The selector key of pods that the fault's own selector chose; `.Target` marks the pods of its target."""


class CamelStruct(msgspec.Struct, frozen=True, rename="camel"):
    """A struct whose fields have the spelling of Kubernetes."""


class ChaosCondition(CamelStruct, frozen=True):
    """A condition of an object of Chaos Mesh, which leaves out most fields of Kubernetes' own conditions."""

    type: str
    status: str
    message: str = ""


def _is_true(conditions: list[ChaosCondition], kind: str) -> bool:
    return any(each.type == kind and each.status == "True" for each in conditions)


class RecordEvent(CamelStruct, frozen=True):
    """An event in the record of a pod or container."""

    type: str = ""
    operation: str = ""
    message: str = ""


class ContainerRecord(CamelStruct, frozen=True):
    """The progress of a fault in one pod or container."""

    id: str = ""
    selector_key: str = "."
    phase: str = ""
    injected_count: int = 0
    events: list[RecordEvent] = []

    @property
    def pod(self) -> str:
        """Returns the pod as `NAMESPACE/POD`, without the container that may follow in the id."""
        return "/".join(self.id.split("/")[:2])

    @property
    def holds(self) -> bool:
        """Returns whether the fault is in the pod, or may be in it because its removal has not ended."""
        return self.phase.startswith("Injected")

    @property
    def failure(self) -> str:
        """Returns the message of the newest event if this event is a failure; else an empty string."""
        return next((event.message for event in self.events[-1:] if event.type == "Failed"), "")

    @property
    def injection_failed(self) -> bool:
        """Returns whether Chaos Mesh tries again and again to inject the fault, although each attempt fails."""
        return bool(self.failure) and self.phase.startswith("Not Injected/")


class ExperimentStatus(CamelStruct, frozen=True):
    """The progress of a fault in all its pods."""

    container_records: list[ContainerRecord] = []


class ChaosStatus(CamelStruct, frozen=True):
    """The status of an experiment."""

    conditions: list[ChaosCondition] = []
    experiment: ExperimentStatus = ExperimentStatus()


class ChaosSpec(CamelStruct, frozen=True):
    """The fields of a fault's spec that explain why its injection failed."""

    action: str = ""
    target: dict[str, object] | None = None


class ChaosObject(CamelStruct, frozen=True):
    """An experiment that Chaos Mesh carries out: a fault, a workflow or a schedule."""

    metadata: ObjectMeta
    spec: ChaosSpec = ChaosSpec()
    status: ChaosStatus = ChaosStatus()

    def has(self, condition: str) -> bool:
        """Returns whether a condition is true."""
        return _is_true(self.status.conditions, condition)

    @property
    def injected(self) -> bool:
        """Returns whether the fault is or was in all its pods; the counts remain after its removal."""
        records = self.status.experiment.container_records
        return self.has("AllInjected") or (bool(records) and all(record.injected_count for record in records))

    @property
    def aborted(self) -> bool:
        """Returns whether a user or a status check aborted a workflow."""
        return self.metadata.annotations.get(_ABORT) == "true"

    @property
    def targets(self) -> tuple[str, ...]:
        """Returns the names of the pods that were chosen, without the other side of a `NetworkChaos`."""
        return _pods(each for each in self.status.experiment.container_records if each.selector_key == _OWN_SELECTOR)

    @property
    def failed_in(self) -> tuple[str, ...]:
        """Returns the pods (`NAMESPACE/POD`) that the injection fails in; empty while the fault is still in other pods.

        Chaos Mesh removes the fault from those other pods first.
        """
        records = self.status.experiment.container_records
        if any(each.holds for each in records):
            return ()
        return tuple(dict.fromkeys(each.pod for each in records if each.injection_failed))

    def holds(self, pod: str, *, settled: bool) -> bool:
        """Returns whether the fault is in a pod (`NAMESPACE/POD`), or may still be in it.

        Args:
            pod: The pod.
            settled: Whether a failed removal counts as done. Chaos Mesh removes the fault at first, and fails later
                because of another fault in the pod.
        """
        records = (each for each in self.status.experiment.container_records if each.pod == pod)
        return any(each.holds and not (settled and each.failure) for each in records)

    @property
    def complaint(self) -> str:
        """Returns the messages of Chaos Mesh about failed injections; empty without such messages."""
        failures = [(each.id, each.failure) for each in self.status.experiment.container_records if each.failure]
        return injection_failures(failures, self.spec.action, with_target=self.spec.target is not None)

    @property
    def not_injected_reason(self) -> str:
        """Returns why the fault is not injected; empty if Chaos Mesh has not reported a reason, or not tried yet."""
        unselected = any(each.type == "Selected" and each.status == "False" for each in self.status.conditions)
        return self.complaint or ("the selector matches no existing pod" if unselected else "")


def _pods(records: Iterable[ContainerRecord]) -> tuple[str, ...]:
    """Returns the names of pods from ids of the form `NAMESPACE/POD` or `NAMESPACE/POD/CONTAINER`."""
    ids = (record.id.split("/") for record in records)
    return tuple(dict.fromkeys(parts[1] for parts in ids if len(parts) > 1))


class WorkflowNodeSpec(CamelStruct, frozen=True):
    """The spec of a `WorkflowNode`."""

    template_name: str = ""
    type: str = ""


class WorkflowNodeStatus(CamelStruct, frozen=True):
    """The status of a `WorkflowNode`."""

    conditions: list[ChaosCondition] = []


class WorkflowNode(CamelStruct, frozen=True):
    """A `WorkflowNode`: a template of a workflow that has started."""

    metadata: ObjectMeta
    spec: WorkflowNodeSpec = WorkflowNodeSpec()
    status: WorkflowNodeStatus = WorkflowNodeStatus()

    @property
    def aborted(self) -> bool:
        """Returns whether the node was aborted; for a check this means that the check failed."""
        return _is_true(self.status.conditions, "Aborted")


def pod_of(found: Pod) -> TargetPod | None:
    """Returns a pod of the world; None for a pod of another application."""
    labels = found.metadata.labels
    if labels.get(NAME_LABEL) != APP_NAME:
        return None
    up = found.status.phase == "Running" and found.status.pod_ip and found.metadata.deletion_timestamp is None
    return TargetPod(
        name=found.metadata.name,
        component=labels.get(COMPONENT_LABEL, ""),
        area=labels.get(AREA_LABEL, ""),
        role=labels.get(ROLE_LABEL, ""),
        url=http_url(found.status.pod_ip, HTTP_PORT) if up else "",
    )


def area_of(found: AreaObject) -> AreaView:
    """Returns the view of an area."""
    condition, redundant = found.status.condition("Redundant"), found.status.holds("Redundant")
    gap = condition.message if condition is not None else "the controller has not reported the area yet"
    return AreaView(found.metadata.name, found.spec.plane, found.spec.bounds, redundant, "" if redundant else gap)


def owner_of(found: ObjectMeta) -> str:
    """Returns the uid of an object's first owner; empty for an object without owners."""
    return found.owner_references[0].uid if found.owner_references else ""
