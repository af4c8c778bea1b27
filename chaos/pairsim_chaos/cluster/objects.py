"""What a cluster says of pods, areas and experiments, read into the words of a scene; pure.

Chaos Mesh's conditions and records: `chaos-mesh.org/v1alpha1`, `status.conditions` and
`status.experiment.containerRecords`. What a workflow does is told by its `WorkflowNode`s, one for each template that
was begun.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pairsim.model.geometry import Box
from pairsim.model.labels import APP_NAME, AREA_LABEL, COMPONENT_LABEL, NAME_LABEL, ROLE_LABEL
from pairsim_chaos.target import Place, Pod

HTTP_PORT = 8080
_ABORT = "workflow.chaos-mesh.org/abort"
_CHOSEN = "."
"""The selector of a record's pod: the fault's own, where `.Target` is its target's."""


class _Camel(msgspec.Struct, frozen=True, rename="camel"):
    """Kubernetes's spelling."""


class _Owner(_Camel, frozen=True):
    uid: str = ""


class Metadata(_Camel, frozen=True):
    """Of any object."""

    name: str = ""
    uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: list[_Owner] = []
    deletion_timestamp: str | None = None
    resource_version: str = ""

    @property
    def owner(self) -> str:
        """The uid of what made it; empty if nothing did."""
        return self.owner_references[0].uid if self.owner_references else ""


class Condition(_Camel, frozen=True):
    """One of an object."""

    type: str
    status: str
    message: str = ""


def _true(conditions: list[Condition], kind: str) -> bool:
    return any(each.type == kind and each.status == "True" for each in conditions)


class _PodStatus(_Camel, frozen=True):
    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")


class PodObject(_Camel, frozen=True):
    """A pod."""

    metadata: Metadata
    status: _PodStatus = _PodStatus()


class _AreaSpec(_Camel, frozen=True):
    plane: str
    bounds: Box


class _AreaStatus(_Camel, frozen=True):
    conditions: list[Condition] = []


class AreaObject(_Camel, frozen=True):
    """An Area."""

    metadata: Metadata
    spec: _AreaSpec
    status: _AreaStatus = _AreaStatus()


class _Event(_Camel, frozen=True):
    type: str = ""
    operation: str = ""
    message: str = ""


class _Record(_Camel, frozen=True):
    id: str = ""
    selector_key: str = "."
    phase: str = ""
    injected_count: int = 0
    events: list[_Event] = []


class _Experiment(_Camel, frozen=True):
    container_records: list[_Record] = []


class _ChaosStatus(_Camel, frozen=True):
    conditions: list[Condition] = []
    experiment: _Experiment = _Experiment()


class ChaosObject(_Camel, frozen=True):
    """An experiment as Chaos Mesh carries it out: a fault, a workflow or a schedule."""

    metadata: Metadata
    status: _ChaosStatus = _ChaosStatus()

    def has(self, condition: str) -> bool:
        """Whether a condition is true."""
        return _true(self.status.conditions, condition)

    @property
    def injected(self) -> bool:
        """Whether it is in all its pods, or was: counts stay when it is taken back."""
        records = self.status.experiment.container_records
        return self.has("AllInjected") or (bool(records) and all(record.injected_count for record in records))

    @property
    def aborted(self) -> bool:
        """Whether somebody, or a status check, ended a workflow before its time."""
        return self.metadata.annotations.get(_ABORT) == "true"

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the pods that were chosen, without the other side of a `NetworkChaos`."""
        return _pods(each for each in self.status.experiment.container_records if each.selector_key == _CHOSEN)

    @property
    def failed_in(self) -> tuple[str, ...]:
        """Names of the pods that it could not be injected into; empty while it is still in others.

        Chaos Mesh takes it back from those others first.
        """
        records = self.status.experiment.container_records
        if not self.complaint or any(each.phase.startswith("Injected") for each in records):
            return ()
        return _pods(each for each in records if each.phase.startswith("Not Injected/"))

    @property
    def complaint(self) -> str:
        """What Chaos Mesh says of injections that failed; empty if it says nothing."""
        told = [
            f"{record.id}: {event.message}"
            for record in self.status.experiment.container_records
            for event in record.events[-1:]
            if event.type == "Failed"
        ]
        return "; ".join(dict.fromkeys(told))

    @property
    def wanting(self) -> str:
        """Why it is not injected, as far as Chaos Mesh says; empty as well when it has not come to it yet."""
        nobody = any(each.type == "Selected" and each.status == "False" for each in self.status.conditions)
        return self.complaint or ("its selector means no pod that is there now" if nobody else "")


def _pods(records: Iterable[_Record]) -> tuple[str, ...]:
    """Of `NAMESPACE/POD` or `NAMESPACE/POD/CONTAINER`."""
    ids = (record.id.split("/") for record in records)
    return tuple(dict.fromkeys(parts[1] for parts in ids if len(parts) > 1))


class _NodeSpec(_Camel, frozen=True):
    template_name: str = ""
    type: str = ""


class _NodeStatus(_Camel, frozen=True):
    conditions: list[Condition] = []


class NodeObject(_Camel, frozen=True):
    """A `WorkflowNode`: a template of a workflow that was begun."""

    metadata: Metadata
    spec: _NodeSpec = _NodeSpec()
    status: _NodeStatus = _NodeStatus()

    @property
    def aborted(self) -> bool:
        """Whether it was ended before its time; of a check, whether it was bad."""
        return _true(self.status.conditions, "Aborted")


def pod(found: PodObject) -> Pod | None:
    """A pod of a world; None for others."""
    labels = found.metadata.labels
    if labels.get(NAME_LABEL) != APP_NAME:
        return None
    up = found.status.phase == "Running" and found.status.pod_ip and found.metadata.deletion_timestamp is None
    return Pod(
        name=found.metadata.name,
        component=labels.get(COMPONENT_LABEL, ""),
        area=labels.get(AREA_LABEL, ""),
        role=labels.get(ROLE_LABEL, ""),
        url=f"http://{found.status.pod_ip}:{HTTP_PORT}" if up else "",
    )


def place(found: AreaObject) -> Place:
    """An area."""
    conditions = {each.type: each for each in found.status.conditions}
    redundant = conditions.get("Redundant")
    whole = redundant is not None and redundant.status == "True"
    told = redundant.message if redundant is not None else "the controller has not said anything of it"
    return Place(found.metadata.name, found.spec.plane, found.spec.bounds, whole, "" if whole else told)
