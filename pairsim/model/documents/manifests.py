"""The `Plane` and `Area` documents: the same on a laptop and on Kubernetes.

An area lies inside the bounds of its plane and overlaps no other area of the plane; edges may touch. A world file and
the controller check the same rules; each adds to the sentence what its user can do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import msgspec

from pairsim.model.area import AreaSpec, Detection, Parameter, TickRate
from pairsim.model.geometry import Box
from pairsim.model.names import Name
from pairsim.wording import duration

_MIN_HANG_TICKS = 2
"""A shorter limit would take a slow tick for a call that never returns."""


class DocumentMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The metadata of a document. Labels and annotations are for Kubernetes; a local world ignores them.

    Attributes:
        name: The name of the plane or the area.
        namespace: The namespace on Kubernetes.
        labels: Labels on Kubernetes.
        annotations: Annotations on Kubernetes.
    """

    name: Name
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class PlaneSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The `spec` of a `Plane`: one kind of logic over the whole world.

    Attributes:
        simulator: The simulator's entry point name, `module:Class`, or `exec:PATH` for a program.
        bounds: The box of the whole world, in metres.
        tick_rate: Ticks per second, the same in every area.
        seed: The seed of the world's random numbers.
        parameters: The parameters of the simulator.
        areas: The number of areas that the plane is split into; 0 if its areas are documents of their own.
        detection: How soon members take each other, or an engine, for failed, the same in every area.
        warm_engines: Whether spares keep an engine ready. A spare belongs to no plane: they do so if any plane says it.
    """

    simulator: str
    bounds: Box
    tick_rate: TickRate = 20.0
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    parameters: dict[str, Parameter] = {}
    areas: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    detection: Detection = Detection()
    warm_engines: bool = False

    def __post_init__(self) -> None:
        shortest = _MIN_HANG_TICKS / self.tick_rate
        if (self.detection.hang_seconds or shortest) < shortest:
            raise ValueError(
                f"detection.hangSeconds must be at least {_MIN_HANG_TICKS} ticks, which are {duration(shortest)}"
                f" at this tickRate, and is {self.detection.hang_seconds:g}"
            )
        for name, value in self.parameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"parameter {name!r} must be finite, and is {value}")
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError(f"parameter {name!r} must be within 64 bits")


class AreaManifestSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The `spec` of an `Area`.

    Attributes:
        plane: The name of the plane that the area is a part of.
        bounds: The box that the area has authority over, in metres.
        entities: The number of entities at tick 0.
    """

    plane: Name
    bounds: Box
    entities: Annotated[int, msgspec.Meta(ge=0, le=50_000_000)] = 0


class Plane(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A `Plane` document."""

    api_version: Literal["pairsim.io/v1alpha1"]
    kind: Literal["Plane"]
    metadata: DocumentMetadata
    spec: PlaneSpec


class Area(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An `Area` document."""

    api_version: Literal["pairsim.io/v1alpha1"]
    kind: Literal["Area"]
    metadata: DocumentMetadata
    spec: AreaManifestSpec


def areas_of_plane(plane: str, spec: PlaneSpec) -> tuple[Area, ...]:
    """Returns the areas of a plane that says how many it has: of one size, named after the plane and counted from 0."""
    return tuple(
        Area("pairsim.io/v1alpha1", "Area", DocumentMetadata(f"{plane}-{number}"), AreaManifestSpec(plane, bounds))
        for number, bounds in enumerate(spec.bounds.split(spec.areas) if spec.areas else ())
    )


def area_spec(name: str, area: AreaManifestSpec, plane: PlaneSpec) -> AreaSpec:
    """Returns what the members of an area need to know.

    Args:
        name: The name of the area.
        area: The `spec` of its document.
        plane: The `spec` of its plane's document.
    """
    return AreaSpec(
        area=name,
        plane=area.plane,
        simulator=plane.simulator,
        parameters=plane.parameters,
        seed=plane.seed,
        tick_rate=plane.tick_rate,
        bounds=area.bounds,
        world=plane.bounds,
        entities=area.entities,
        detection=plane.detection if plane.detection != Detection() else msgspec.UNSET,
    )


def containment_error(area: AreaManifestSpec, plane: PlaneSpec) -> str:
    """Returns why an area does not lie inside its plane; empty if it does."""
    return "" if plane.bounds.contains(area.bounds) else f"its bounds reach beyond those of plane {area.plane}"


def overlap_errors(area: AreaManifestSpec, others: Iterable[tuple[str, AreaManifestSpec]]) -> Iterator[str]:
    """Yields a sentence for each other area, given with its name, that is of the same plane and overlaps this one."""
    for name, other in others:
        if other.plane == area.plane and other.bounds.overlaps(area.bounds):
            yield f"its bounds overlap those of area {name}"
