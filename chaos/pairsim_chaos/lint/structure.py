"""What the API server refuses: fields that a kind does not have or lacks, values of a wrong type or range."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from jsonschema import ValidationError

from pairsim_chaos.spec.field_path import Body, Field, Rule, Slip, shown
from pairsim_chaos.spec.quantities import dns_name
from pairsim_chaos.spec.schema import API_VERSION, KINDS, validator

_ARTICLES = {
    "string": "a text, in quotes",
    "integer": "a whole number without quotes",
    "number": "a number without quotes",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


def kind_problem(document: Field) -> Slip | None:
    """What is wrong with a document that is of no kind known here; its fields cannot be checked then."""
    if not isinstance(document.value, dict):
        return Slip(document, "the document is no mapping", "write apiVersion, kind, metadata and spec")
    kind, version = document.at("kind"), document.at("apiVersion")
    if kind.text not in KINDS:
        wrong = f"{shown(kind.value)} is no kind that is checked here" if kind.there else "the kind is missing"
        return Slip(kind, wrong, f"write one of {_near(kind.text, KINDS)}")
    if version.text != API_VERSION:
        wrong = f"{shown(version.value)} is another API" if version.there else "the API version is missing"
        return Slip(version, wrong, f"write {API_VERSION}")
    return None


def structure(document: Field) -> Iterator[Slip]:
    """What the kind's schema says."""
    for error in validator(document.at("kind").text).iter_errors(document.value):
        yield from _told(document, error)


def _told(document: Field, error: ValidationError) -> Iterator[Slip]:
    field = document.below(tuple(error.absolute_path))
    limit, value = error.validator_value, field.value
    if error.validator == "additionalProperties":
        known = _names(error.schema)
        for each in field.fields:
            if each.name not in known:
                yield Slip(
                    each, "there is no such field, and the API server would drop it", _instead_of(each.name, known)
                )
    elif error.validator == "required":
        for name in limit if isinstance(limit, list) else ():
            if isinstance(value, dict) and name not in value and f"'{name}'" in error.message:
                yield Slip(field.at(name), "it is missing", f"write {name}: …")
    elif error.validator == "type":
        wanted = limit if isinstance(limit, list) else [limit]
        text = " or ".join(_ARTICLES.get(str(each), str(each)) for each in wanted)
        yield Slip(field, f"{shown(value)} is of the wrong type", f"write {text}")
    elif error.validator == "enum":
        yield Slip(field, f"{shown(value)} is not allowed", f"write one of {_near(str(value), _texts(limit))}")
    elif error.validator in ("minimum", "maximum"):
        side = "at least" if error.validator == "minimum" else "at most"
        open_end = isinstance(error.schema, Mapping) and error.schema.get("exclusiveMinimum")
        yield Slip(field, f"{shown(value)} is out of range", f"write {'more than' if open_end else side} {limit}")
    elif error.validator == "pattern" and field.name in ("latency", "jitter"):
        yield Slip(
            field, f"{shown(value)} is not one number and one unit", "write it in a single unit: 90s, 1.5h, 250ms"
        )
    else:
        yield Slip(field, f"{shown(value)} has not the right form", f"write what matches {limit}")


def _names(schema: object) -> tuple[str, ...]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return tuple(properties) if isinstance(properties, Mapping) else ()


def _texts(values: object) -> tuple[str, ...]:
    return tuple(str(value) for value in values) if isinstance(values, list) else ()


def _instead_of(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name[:60], known, n=1, cutoff=0.6)
    return f"write {near[0]}" if near else f"leave it out; there are {', '.join(sorted(known))}"


def _near(text: str, known: tuple[str, ...]) -> str:
    """The known ones, the likeliest first."""
    near = difflib.get_close_matches(text[:60], known, n=1, cutoff=0.5)
    return ", ".join([*near, *(each for each in known if each not in near)])


def named(body: Body) -> Iterator[Slip]:
    """The API server's own rules for metadata."""
    if body.within != "document":
        return
    metadata = body.host.at("metadata")
    name, given = metadata.at("name"), metadata.at("generateName")
    if not name.text and not given.text:
        yield Slip(name, "the experiment has no name", "write a name")
    for field in (name, metadata.at("namespace")):
        if field.text and not dns_name(field.text):
            yield Slip(field, f"{shown(field.text)} is no name", "write lower-case letters, digits, '-' and '.' alone")


RULES = (Rule("name", KINDS, "`metadata.name` is there, and it and the namespace are DNS-1123 names", named),)
STRUCTURE = "schema"
"""Name of the findings of the schemas."""
KIND = "kind"
