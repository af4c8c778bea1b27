"""The parts of Kubernetes objects that the controller reads and writes, as typed data.

Unknown fields are passed over: the API server adds to its objects with every version.
"""

from __future__ import annotations

import datetime as dt
from typing import TypeVar

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.documents.manifests import AreaManifestSpec, PlaneSpec
from pairsim.model.labels import BACKUP_ANNOTATION, BACKUP_SKIP, PAUSED_ANNOTATION

T = TypeVar("T", bound="Object")


class Owner(msgspec.Struct, frozen=True, rename="camel"):
    """An owner reference."""

    uid: str


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    """An object's metadata."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[Owner, ...] = ()
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None

    @property
    def paused(self) -> bool:
        """Whether its user wants it to be left alone."""
        return self.annotations.get(PAUSED_ANNOTATION) == "true"

    @property
    def skips_backup(self) -> bool:
        """Whether its user gives its state up."""
        return self.annotations.get(BACKUP_ANNOTATION) == BACKUP_SKIP


class Object(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Any object."""

    metadata: Meta


class Port(msgspec.Struct, frozen=True, rename="camel"):
    """A container's port."""

    container_port: int
    name: str = ""


class Container(msgspec.Struct, frozen=True):
    """A container as it is wanted."""

    name: str
    ports: tuple[Port, ...] = ()


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    """A pod as it is wanted."""

    containers: tuple[Container, ...] = ()
    node_name: str = ""


class ContainerState(msgspec.Struct, frozen=True):
    """One of these is there."""

    running: dict[str, object] | None = None
    terminated: dict[str, object] | None = None


class ContainerStatus(msgspec.Struct, frozen=True):
    """A container as it is."""

    name: str
    state: ContainerState = ContainerState()


class PodStatus(msgspec.Struct, frozen=True):
    """A pod as it is."""

    phase: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    container_statuses: tuple[ContainerStatus, ...] = msgspec.field(default=(), name="containerStatuses")


class Pod(Object, frozen=True, kw_only=True):
    """A pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class Condition(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One condition of a status."""

    type: str
    status: str
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = 0


class PlaneStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What stands in a `Plane`'s status."""

    observed_generation: int = 0
    areas: int = 0
    selector: str = ""
    conditions: tuple[Condition, ...] = ()


class PlaneObject(Object, frozen=True, kw_only=True):
    """A `Plane`."""

    spec: PlaneSpec
    status: PlaneStatus = PlaneStatus()


class LastTakeover(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The last change of the active.

    Attributes:
        time: When the new active was seen; RFC 3339.
        reason: `Takeover` (the active was lost) or `Switchover` (planned).
        duration_ms: From the first sign of the loss, as the controller saw it, to the new active; None if it was not
            there to see.
        ticks_lost: Ticks that were seen of the old active and that the new one does not have.
        from_, to: Pods.
    """

    time: str
    reason: str
    duration_ms: float | None = None
    ticks_lost: int = 0
    from_: str = msgspec.field(name="from", default="")
    to: str = ""


class StoredAssignment(msgspec.Struct, frozen=True, kw_only=True):
    """An assignment as it is written down: its area's spec stands beside it."""

    generation: int
    replicas: tuple[Member, Member]
    witness: Member
    joins: tuple[str, ...] = ()

    @classmethod
    def of(cls, assignment: Assignment) -> StoredAssignment:
        """Without what the area says itself."""
        return cls(
            generation=assignment.generation,
            replicas=assignment.replicas,
            witness=assignment.witness,
            joins=assignment.joins,
        )

    def assignment(self, spec: AreaSpec) -> Assignment:
        """The whole of it. Raises ValueError if it cannot be one."""
        return Assignment(
            spec=spec, generation=self.generation, replicas=self.replicas, witness=self.witness, joins=self.joins
        )


class AreaStatus(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What stands in an `Area`'s status; `backup` is a file in the controller's folder, once it is deleted."""

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
    last_takeover: LastTakeover | None = None
    assignment: StoredAssignment | None = None
    backup: str = ""

    def condition(self, kind: str) -> Condition | None:
        """The condition of a type."""
        return next((c for c in self.conditions if c.type == kind), None)


class AreaObject(Object, frozen=True, kw_only=True):
    """An `Area`."""

    spec: AreaManifestSpec
    status: AreaStatus = AreaStatus()


def body_of(status: AreaStatus) -> dict[str, object]:
    """As it is sent; what is not known is left out, for the API server takes no null."""
    return {key: value for key, value in msgspec.to_builtins(status).items() if value is not None} | (
        {"lastTakeover": _known(status.last_takeover)} if status.last_takeover is not None else {}
    )


def _known(part: msgspec.Struct) -> dict[str, object]:
    return {key: value for key, value in msgspec.to_builtins(part).items() if value is not None}


def stamp(seconds: float) -> str:
    """A Unix time as RFC 3339, to the millisecond."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
