"""Kubernetes objects as typed structs, with the fields that the controller reads and writes.

Unknown fields are ignored, since each version of the API server adds some. Structs without an explanation of their own
have the meaning of the same type in Kubernetes' API reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.crossings.border_status import BorderStatus
from pairsim.model.documents.manifests import AreaManifestSpec, PlaneSpec
from pairsim.model.geometry import Box
from pairsim.model.labels import (
    API_VERSION,
    APP_NAME,
    BACKUP_ANNOTATION,
    BACKUP_SKIP,
    NAME_LABEL,
    PART_OF_LABEL,
    PAUSED_ANNOTATION,
)
from pairsim_controller.timestamps import rfc3339

T = TypeVar("T", bound="Object")

TERMINATED_PHASES = frozenset({"Succeeded", "Failed"})
"""Phases of a pod whose containers have ended and do not restart."""


class OwnerReference(msgspec.Struct, frozen=True, rename="camel"):
    """A reference to the object that owns this one; garbage collection deletes this one with its owner."""

    uid: str


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata of any object."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None

    @property
    def paused(self) -> bool:
        """Returns whether its user asked the controller not to change its members."""
        return self.annotations.get(PAUSED_ANNOTATION) == "true"

    @property
    def skips_backup(self) -> bool:
        """Returns whether its user wants it deleted without a backup of its state."""
        return self.annotations.get(BACKUP_ANNOTATION) == BACKUP_SKIP


class Object(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An object of any kind."""

    metadata: ObjectMeta


class ContainerPort(msgspec.Struct, frozen=True, rename="camel"):
    """A port of a container."""

    container_port: int
    name: str = ""


class Container(msgspec.Struct, frozen=True):
    """A container in a pod's spec."""

    name: str
    ports: tuple[ContainerPort, ...] = ()


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """The spec of a pod."""

    containers: tuple[Container, ...] = ()
    node_name: str = ""


class ForeignCondition(msgspec.Struct, frozen=True):
    """A condition of an object that another controller writes."""

    type: str
    status: str
    reason: str = ""
    message: str = ""


class ContainerWaiting(msgspec.Struct, frozen=True):
    """Why a container does not run."""

    reason: str = ""
    message: str = ""


class ContainerTerminated(msgspec.Struct, frozen=True, rename="camel"):
    """How a container ended; the message is the end of its log if it failed."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""


class ContainerState(msgspec.Struct, frozen=True):
    """The state of a container: at most one of the fields is set."""

    waiting: ContainerWaiting | None = None
    running: dict[str, object] | None = None
    terminated: ContainerTerminated | None = None


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    """A container in a pod's status."""

    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    restart_count: int = 0


class PodStatus(msgspec.Struct, frozen=True):
    """The status of a pod."""

    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    container_statuses: tuple[ContainerStatus, ...] = msgspec.field(default=(), name="containerStatuses")
    conditions: tuple[ForeignCondition, ...] = ()


class Pod(Object, frozen=True, kw_only=True):
    """A pod: a simulator, a witness or another process."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class DeploymentStatus(msgspec.Struct, frozen=True):
    """The status of a Deployment."""

    conditions: tuple[ForeignCondition, ...] = ()


class DeploymentObject(Object, frozen=True, kw_only=True):
    """A Deployment: the pool of simulators or of witnesses."""

    status: DeploymentStatus = DeploymentStatus()


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition of a status; `status` is True, False or Unknown."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = 0


class PlaneStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The status of a `Plane`.

    Attributes:
        version, highest_number, map_digest: The record of its newest map; the numbers are in the statuses of its areas.
    """

    observed_generation: int = 0
    areas: int = 0
    selector: str = ""
    version: int = 0
    highest_number: int = 0
    map_digest: str = ""
    conditions: tuple[Condition, ...] = ()


class PlaneObject(Object, frozen=True, kw_only=True):
    """A `Plane`: one kind of logic over the whole world."""

    spec: PlaneSpec
    status: PlaneStatus = PlaneStatus()


class LastTakeover(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The last change of an area's active.

    Attributes:
        time: When the new active was seen; RFC 3339.
        reason: `Takeover` (the active was lost) or `Switchover` (planned).
        duration_ms: Milliseconds from the first sign of the loss, as the controller saw it, to the new active; None if
            the controller did not observe the loss.
        ticks_lost: Number of ticks that were seen of the old active and that the new one does not have.
        from_, to: Names of the pods.
    """

    time: str
    reason: str
    duration_ms: float | None = None
    ticks_lost: int = 0
    from_: str = msgspec.field(name="from", default="")
    to: str = ""


class StoredAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """An assignment as an Area's status stores it, without the area's spec, which the Area has already."""

    generation: int
    replicas: tuple[Member, Member]
    witness: Member
    joins: tuple[str, ...] = ()

    @classmethod
    def of(cls, assignment: Assignment) -> StoredAssignment:
        """Returns the stored form of an assignment."""
        return cls(
            generation=assignment.generation,
            replicas=assignment.replicas,
            witness=assignment.witness,
            joins=assignment.joins,
        )

    def assignment(self, spec: AreaSpec) -> Assignment:
        """Returns the assignment with its area's spec. Raises ValueError if the fields contradict each other."""
        return Assignment(
            spec=spec, generation=self.generation, replicas=self.replicas, witness=self.witness, joins=self.joins
        )


class AreaBorders(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What crosses the borders of an area, as its active reported it; `BorderStatus` explains the fields."""

    in_per_second: float = 0.0
    out_per_second: float = 0.0
    waiting: int = 0
    queued: int = 0
    born: int = 0
    died: int = 0
    conflicts: int = 0
    nowhere: int = 0

    @classmethod
    def of(cls, borders: BorderStatus) -> AreaBorders:
        """Returns the part of a report that the status of an `Area` shows."""
        return cls(**{name: getattr(borders, name) for name in cls.__struct_fields__})


class AreaStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The status of an `Area`.

    Attributes:
        number: The number of the area; 0 while it has no cell.
        cell: Its cell in the newest map of its plane; None while it has none.
        version: The version of the map that its active knows.
        borders: What crosses its borders; None before the first report of an active.
        backup: The file with the last state in the controller's backup folder; empty unless the Area is being deleted.
    """

    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()
    active: str = ""
    passive: str = ""
    witness: str = ""
    term: int = 0
    tick: int = 0
    synced: bool = False
    entities: int = 0
    generation: int = 0
    number: int = 0
    cell: Box | None = None
    version: int = 0
    borders: AreaBorders | None = None
    last_takeover: LastTakeover | None = None
    assignment: StoredAssignment | None = None
    backup: str = ""

    def condition(self, kind: str) -> Condition | None:
        """Returns the condition of a type; None if it is missing."""
        return next((c for c in self.conditions if c.type == kind), None)

    def holds(self, kind: str) -> bool:
        """Returns whether the condition of a type is True."""
        found = self.condition(kind)
        return found is not None and found.status == "True"


class AreaObject(Object, frozen=True, kw_only=True):
    """An `Area`: a part of a plane, simulated by one pair."""

    spec: AreaManifestSpec
    status: AreaStatus = AreaStatus()


def body_of(status: AreaStatus) -> dict[str, object]:
    """Returns a status as JSON without unknown fields: the API server refuses null."""
    return _without_none(status) | (
        {"lastTakeover": _without_none(status.last_takeover)} if status.last_takeover is not None else {}
    )


def _without_none(part: msgspec.Struct) -> dict[str, object]:
    return {key: value for key, value in msgspec.to_builtins(part).items() if value is not None}


def owner_reference(kind: str, owner: ObjectMeta) -> dict[str, object]:
    """Returns the reference to an `Area` or a `Plane` that owns another object: the object is deleted with it."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def world_labels() -> dict[str, str]:
    """Returns the labels that every object of the world carries."""
    return {PART_OF_LABEL: APP_NAME, NAME_LABEL: APP_NAME}


def next_condition(
    kind: str,
    truth: bool | None,
    reason: str,
    message: str,
    *,
    before: Iterable[Condition],
    generation: int,
    wall: float,
) -> Condition:
    """Returns a condition; its transition time changes only with its status.

    Args:
        kind: The type of the condition.
        truth: True, False, or None for Unknown.
        reason: The reason in one word.
        message: A sentence.
        before: The conditions of the last status.
        generation: The `metadata.generation` that the condition describes.
        wall: Unix time now.
    """
    status = "Unknown" if truth is None else str(truth)
    old = next((condition for condition in before if condition.type == kind), None)
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=old.last_transition_time if old is not None and old.status == status else rfc3339(wall),
        observed_generation=generation,
    )
