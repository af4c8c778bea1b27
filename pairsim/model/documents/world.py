"""The documents of a world file: read, checked one by one, and checked against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.documents.manifests import (
    Area,
    Plane,
    area_spec,
    areas_of_plane,
    containment_error,
    overlap_errors,
)
from pairsim.model.documents.validation_errors import abbreviated, field_errors, struct_error
from pairsim.model.documents.yaml import YamlDocument, YamlError, YamlLimits, YamlValue, parse_yaml
from pairsim.model.labels import API_VERSION
from pairsim.wording import counted

MAX_BYTES = 4 * 2**20
_LIMITS = YamlLimits(characters=MAX_BYTES, documents=20_000, values=400_000)
_MAX_NAME_LENGTH = 63

_KINDS: dict[str, type[Plane | Area]] = {"Plane": Plane, "Area": Area}


class DocumentError(ValueError):
    """The error for a world file with mistakes: which document, which field, and what to write instead."""


class WorldDocuments(msgspec.Struct, frozen=True):
    """All documents of a world, checked against each other."""

    planes: tuple[Plane, ...]
    areas: tuple[Area, ...]

    @property
    def warm_engines(self) -> bool:
        """Whether spares keep an engine ready."""
        return any(plane.spec.warm_engines for plane in self.planes)

    def specs(self) -> tuple[AreaSpec, ...]:
        """Returns the specifications of all areas."""
        planes = {plane.metadata.name: plane.spec for plane in self.planes}
        return tuple(area_spec(area.metadata.name, area.spec, planes[area.spec.plane]) for area in self.areas)


def load_world(text: str) -> WorldDocuments:
    """Reads the documents of a world file.

    Raises:
        DocumentError: The file has mistakes; the message names all of them, one sentence per line.
    """
    try:
        raw = parse_yaml(text, _LIMITS)
    except YamlError as error:
        raise DocumentError(f"line {error.line}: {error}" if error.line else str(error)) from error
    documents: list[Plane | Area] = []
    problems: list[str] = []
    for document in raw:
        errors = list(_duplicate_errors(document))
        if not errors:
            try:
                documents.append(_convert(document.value))
            except DocumentError as error:
                errors = [str(sentence) for sentence in error.args]
        problems += [f"document {document.number}: {sentence}" for sentence in errors]
    planes = tuple(d for d in documents if isinstance(d, Plane))
    areas = tuple(d for d in documents if isinstance(d, Area))
    split = {area.spec.plane for area in areas}
    for plane in planes:
        if plane.spec.areas and plane.metadata.name in split:
            problems.append(
                f"Plane {plane.metadata.name}: `areas` splits it into {counted(plane.spec.areas, 'area')}, and the file"
                " has documents of its areas as well: leave out `areas`, or the documents"
            )
        else:
            areas += areas_of_plane(plane.metadata.name, plane.spec)
    world = WorldDocuments(planes, areas)
    # A plane that could not be read must not make its areas look wrong.
    problems += _conflicts(world, planes_known=not problems)
    if not problems and not world.areas:
        problems.append("the file has no document of kind Area, and no plane says by `areas` how many it has")
    if problems:
        raise DocumentError("\n".join(problems))
    return world


def _duplicate_errors(document: YamlDocument) -> Iterator[str]:
    for path, line in document.duplicates:
        yield f"line {line}: the key {path[-1]!r} is there twice: leave one out"


def _convert(document: YamlValue) -> Plane | Area:
    """Returns a document as its type; raises `DocumentError` with one argument per mistake."""
    if not isinstance(document, dict):
        raise DocumentError("write a mapping with apiVersion, kind, metadata and spec")
    given, version, metadata = (document.get(key) for key in ("kind", "apiVersion", "metadata"))
    kind = _KINDS.get(given) if isinstance(given, str) else None
    if kind is None:
        raise DocumentError(f"kind must be one of {', '.join(_KINDS)}, not {abbreviated(given)}")
    if version != API_VERSION:
        raise DocumentError(f"apiVersion is {abbreviated(version)}: write {API_VERSION}")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    subject = f"{given} {name[:_MAX_NAME_LENGTH] if isinstance(name, str) and name.isprintable() else '?'}"
    try:
        converted = msgspec.convert(document, kind)
        msgspec.msgpack.encode(converted)
    except msgspec.ValidationError as error:
        sentences = list(field_errors(document, kind)) or [struct_error(error)]
        raise DocumentError(*(f"{subject}: {sentence}" for sentence in sentences)) from error
    except UnicodeEncodeError as error:
        raise DocumentError(f"{subject}: {error.object!r} holds half of a character") from error
    return converted


def _conflicts(world: WorldDocuments, *, planes_known: bool) -> Iterator[str]:
    """Yields a sentence for each contradiction between documents."""
    planes = {plane.metadata.name: plane for plane in world.planes}
    for kind, documents in (("Plane", world.planes), ("Area", world.areas)):
        counts = Counter(document.metadata.name for document in documents)
        yield from (f"{kind} {name}: there are two of that name" for name in sorted(counts) if counts[name] > 1)
    for place, area in enumerate(world.areas):
        name, plane = area.metadata.name, planes.get(area.spec.plane)
        if plane is None:
            if planes_known:
                known = ", ".join(sorted(planes)) or "none"
                yield f"Area {name}: its plane {area.spec.plane!r} is not in the file, there are: {known}"
        elif outside := containment_error(area.spec, plane.spec):
            yield f"Area {name}: {outside}"
        before = ((other.metadata.name, other.spec) for other in world.areas[:place])
        yield from (f"Area {name}: {sentence}" for sentence in overlap_errors(area.spec, before))
