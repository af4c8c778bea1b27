"""A world as its user writes it: the same `Plane` and `Area` documents on a laptop and on Kubernetes."""

from __future__ import annotations

import itertools
import math
import reprlib
from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
import yaml

from pairsim.model.area import AreaSpec, Parameter, TickRate
from pairsim.model.documents.validation_errors import misfit, misfits, shown
from pairsim.model.geometry import Box
from pairsim.model.names import Name

API_VERSION = "pairsim.io/v1alpha1"
MAX_BYTES = 4 * 2**20
MAX_DOCUMENTS, MAX_KEYS = 20_000, 1_000
_LONGEST_NAME = 63


class DocumentError(ValueError):
    """A document that cannot be used: which one, where, and what to write instead."""


class _Loader(yaml.SafeLoader):
    """As YAML is, without its traps.

    It takes the last of two equal keys in silence, which hides a slip; and a scalar that is not of its own tag (the
    date 2026-13-45) ends in whatever Python says of it.
    """

    def compose_mapping_node(self, anchor: dict[str, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.composer.ComposerError(
                        None, None, f"the key {key.value!r} is there twice", key.start_mark
                    )
                seen.add(key.value)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_KEYS:
            raise yaml.constructor.ConstructorError(
                None, None, f"a mapping of over {MAX_KEYS} keys, merged ones included", node.start_mark
            )

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            found: object = super().construct_object(node, deep=deep)
            if isinstance(found, int):
                str(found)  # what cannot even be written down (1:1:1:... is a number to YAML) is no number here
        except (ArithmeticError, AttributeError, LookupError, ValueError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{reprlib.repr(node.value)} is no {kind}", node.start_mark
            ) from error
        return found


class Metadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document's name; labels and annotations are Kubernetes' and are kept by it."""

    name: Name
    namespace: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class PlaneSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One kind of logic over the whole world.

    Attributes:
        simulator: Entry point name or `module:Class`.
        bounds: The world's edge, in metres.
        tick_rate: Ticks per second, of every area.
        seed: Of the world's random numbers.
        parameters: The simulator's.
        areas: How many areas the plane is cut into; 0 if its areas are documents of their own.
    """

    simulator: str
    bounds: Box
    tick_rate: TickRate = 20.0
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    parameters: dict[str, Parameter] = {}
    areas: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0

    def __post_init__(self) -> None:
        for name, value in self.parameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"parameter {name!r} must be finite, and is {value}")
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError(f"parameter {name!r} must be within 64 bits")


class AreaPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An area: its part of a plane, and how many entities it starts with."""

    plane: Name
    bounds: Box
    entities: Annotated[int, msgspec.Meta(ge=0, le=50_000_000)] = 0


class Plane(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A `Plane` document."""

    api_version: Literal["pairsim.io/v1alpha1"]
    kind: Literal["Plane"]
    metadata: Metadata
    spec: PlaneSpec


class Area(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """An `Area` document."""

    api_version: Literal["pairsim.io/v1alpha1"]
    kind: Literal["Area"]
    metadata: Metadata
    spec: AreaPart


def cut_areas(plane: str, spec: PlaneSpec) -> tuple[Area, ...]:
    """The areas of a plane that says how many they are, of one size; named after it and counted from 0."""
    return tuple(
        Area("pairsim.io/v1alpha1", "Area", Metadata(f"{plane}-{number}"), AreaPart(plane, bounds))
        for number, bounds in enumerate(spec.bounds.cut(spec.areas) if spec.areas else ())
    )


_KINDS: dict[str, type[Plane | Area]] = {"Plane": Plane, "Area": Area}


class World(msgspec.Struct, frozen=True):
    """All documents of a world, checked against each other."""

    planes: tuple[Plane, ...]
    areas: tuple[Area, ...]

    def specs(self) -> tuple[AreaSpec, ...]:
        """What replicas must know, area by area."""
        planes = {plane.metadata.name: plane.spec for plane in self.planes}
        return tuple(
            AreaSpec(
                area=area.metadata.name,
                plane=area.spec.plane,
                simulator=planes[area.spec.plane].simulator,
                parameters=planes[area.spec.plane].parameters,
                seed=planes[area.spec.plane].seed,
                tick_rate=planes[area.spec.plane].tick_rate,
                bounds=area.spec.bounds,
                world=planes[area.spec.plane].bounds,
                entities=area.spec.entities,
            )
            for area in self.areas
        )


def load_world(text: str) -> World:
    """Reads the documents of a world file.

    Raises:
        DocumentError: All that is wrong with them, one sentence a line.
    """
    if len(text) > MAX_BYTES:
        raise DocumentError(f"a world file of {len(text)} characters is over the limit of {MAX_BYTES}")
    try:
        raw = list(itertools.islice(yaml.load_all(text, _Loader), MAX_DOCUMENTS + 1))
    except (yaml.YAMLError, RecursionError) as error:
        raise DocumentError(f"this is no YAML: {error}") from error
    if len(raw) > MAX_DOCUMENTS:
        raise DocumentError(f"a world file has at most {MAX_DOCUMENTS} documents")
    documents: list[Plane | Area] = []
    problems: list[str] = []
    for number, document in enumerate(raw, 1):
        if document is None:
            continue
        try:
            documents.append(_convert(document))
        except DocumentError as error:
            problems += [f"document {number}: {sentence}" for sentence in error.args]
    planes = tuple(d for d in documents if isinstance(d, Plane))
    areas = tuple(d for d in documents if isinstance(d, Area))
    made = {area.spec.plane for area in areas}
    for plane in planes:
        if plane.spec.areas and plane.metadata.name in made:
            problems.append(
                f"Plane {plane.metadata.name}: it is to be cut into {plane.spec.areas} areas, and there are documents "
                "of its areas: leave out `areas`, or the documents"
            )
        else:
            areas += cut_areas(plane.metadata.name, plane.spec)
    world = World(planes, areas)
    # A plane that could not be read must not make its areas look wrong.
    problems += _conflicts(world, planes_known=not problems)
    if not problems and not world.areas:
        problems.append("the file has no document of kind Area, and no plane says how many `areas` it is cut into")
    if problems:
        raise DocumentError("\n".join(problems))
    return world


def _convert(document: object) -> Plane | Area:
    if not isinstance(document, dict):
        raise DocumentError("is no mapping with apiVersion, kind, metadata and spec")
    given, version, metadata = (document.get(key) for key in ("kind", "apiVersion", "metadata"))
    kind = _KINDS.get(given) if isinstance(given, str) else None
    if kind is None:
        raise DocumentError(f"kind {shown(given)} is none of {', '.join(_KINDS)}")
    if version != API_VERSION:
        raise DocumentError(f"apiVersion is {shown(version)}: write {API_VERSION}")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    what = f"{given} {name[:_LONGEST_NAME] if isinstance(name, str) and name.isprintable() else '?'}"
    try:
        converted = msgspec.convert(document, kind)
        msgspec.msgpack.encode(converted)
    except msgspec.ValidationError as error:
        sentences = list(misfits(document, kind)) or [misfit(error)]
        raise DocumentError(*(f"{what}: {sentence}" for sentence in sentences)) from error
    except UnicodeEncodeError as error:
        raise DocumentError(f"{what}: {error.object!r} holds half of a character") from error
    return converted


def _conflicts(world: World, *, planes_known: bool) -> Iterator[str]:
    planes = {plane.metadata.name: plane for plane in world.planes}
    for kind, documents in (("Plane", world.planes), ("Area", world.areas)):
        names = [document.metadata.name for document in documents]
        yield from (
            f"{kind} {name}: there are two of that name" for name in sorted({n for n in names if names.count(n) > 1})
        )
    for place, area in enumerate(world.areas):
        name, plane = area.metadata.name, planes.get(area.spec.plane)
        if plane is None:
            known = ", ".join(sorted(planes)) or "none"
            if planes_known:
                yield f"Area {name}: its plane {area.spec.plane!r} is not in the file, there are: {known}"
        elif not plane.spec.bounds.contains(area.spec.bounds):
            yield f"Area {name}: its bounds reach beyond those of plane {area.spec.plane}"
        for other in world.areas[:place]:
            if other.spec.plane == area.spec.plane and other.spec.bounds.overlaps(area.spec.bounds):
                yield f"Area {name}: its bounds overlap those of area {other.metadata.name}"
