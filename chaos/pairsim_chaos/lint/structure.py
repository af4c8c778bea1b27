"""Rules of the API server: unknown and missing fields, and values of a wrong type or range."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

from jsonschema import ValidationError

from pairsim_chaos.lint.rule import Problem, Rule
from pairsim_chaos.spec.embedded_specs import FIELD_OF, UNSUPPORTED_FIELDS, EmbeddedSpec
from pairsim_chaos.spec.field_path import Field, quote
from pairsim_chaos.spec.listed_objects import is_list
from pairsim_chaos.spec.quantities import is_dns_name
from pairsim_chaos.spec.schema import ALL_KINDS, API_GROUP, FAULTS, LOCAL_FAULTS, VERSION, api_version, validator

_ARTICLES = {
    "string": "a text in quotes",
    "integer": "an integer without quotes",
    "number": "a number without quotes",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


def kind_problem(document: Field) -> Problem | None:
    """Returns the problem of a document whose kind is unknown here, so that its fields cannot be checked; else None."""
    if not isinstance(document.value, dict):
        return Problem(document, "the document is not a mapping", "write apiVersion, kind, metadata and spec")
    kind, version = document.at("kind"), document.at("apiVersion")
    if is_list(document):
        return Problem(document.at("items"), "the list has no experiment", "write at least one experiment as an item")
    if kind.text not in ALL_KINDS:
        return _unknown_kind(kind, version)
    if version.text != (wanted := api_version(kind.text)):
        owner = kind.text if kind.text in LOCAL_FAULTS else "Chaos Mesh"
        wrong = (
            f"{quote(version.value)} is not the API version of {owner}"
            if version.exists
            else "the API version is missing"
        )
        return Problem(version, wrong, f"write {wanted}")
    return None


def _unknown_kind(kind: Field, version: Field) -> Problem:
    groups = {API_GROUP, *(api_version(name).partition("/")[0] for name in LOCAL_FAULTS)}
    if kind.text and version.text and version.text.partition("/")[0] not in groups:
        wrong = f"{quote(kind.text)} of {quote(version.text)} is not an experiment"
        return Problem(kind, wrong, "move the object to a file of its own")
    if kind.text.lower() in {name.lower() for name in UNSUPPORTED_FIELDS}:
        wrong = f"{quote(kind.text)} is a kind that pairsim neither checks nor runs"
        return Problem(kind, wrong, "move the object to a file of its own, and apply that with kubectl")
    wrong = f"{quote(kind.value)} is not a kind that this linter checks" if kind.exists else "the kind is missing"
    return Problem(kind, wrong, f"write one of {_by_similarity(kind.text, ALL_KINDS)}")


def schema_problems(document: Field) -> Iterator[Problem]:
    """Yields the violations of the schema of the document's kind."""
    for error in validator(document.at("kind").text).iter_errors(document.value):
        yield from _problems_of(document, error)


def _problems_of(document: Field, error: ValidationError) -> Iterator[Problem]:
    field = document.below(tuple(error.absolute_path))
    limit, value = error.validator_value, field.value
    if error.validator == "additionalProperties":
        known = _names(error.schema)
        for each in field.fields:
            if each.name not in known:
                yield _unknown_field(document, each, known)
    elif error.validator == "required":
        for name in limit if isinstance(limit, list) else ():
            if isinstance(value, dict) and name not in value and f"'{name}'" in error.message:
                yield Problem(field.at(name), "the field is missing", f"write {name}: …")
    elif error.validator == "type":
        wanted = limit if isinstance(limit, list) else [limit]
        text = " or ".join(_ARTICLES.get(str(each), str(each)) for each in wanted)
        yield Problem(field, f"{quote(value)} has the wrong type", f"write {text}")
    elif error.validator == "enum":
        yield Problem(
            field, f"{quote(value)} is not allowed", f"write one of {_by_similarity(str(value), _texts(limit))}"
        )
    elif error.validator in ("minimum", "maximum"):
        side = "at least" if error.validator == "minimum" else "at most"
        open_end = isinstance(error.schema, Mapping) and error.schema.get("exclusiveMinimum")
        yield Problem(field, f"{quote(value)} is out of range", f"write {'more than' if open_end else side} {limit}")
    elif error.validator == "pattern" and field.name in ("latency", "jitter"):
        yield Problem(
            field,
            f"{quote(value)} is not one number and one unit",
            "write the value in a single unit: 90s, 1.5h, 250ms",
        )
    else:
        yield Problem(field, f"{quote(value)} has the wrong form", f"write a value that matches {limit}")


def _names(schema: object) -> tuple[str, ...]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return tuple(properties) if isinstance(properties, Mapping) else ()


def _texts(values: object) -> tuple[str, ...]:
    return tuple(str(value) for value in values) if isinstance(values, list) else ()


def _unknown_field(document: Field, field: Field, known: tuple[str, ...]) -> Problem:
    """Returns the problem of a field that the schema does not have: an old one, a typing error, or a newer one."""
    around, kind = field.path[:-1], document.at("kind").text
    if field.name == "scheduler" and kind in FAULTS and around == document.at("spec").path:
        return _old_scheduler(field, kind)
    if field.name == "scheduler" and around and around[-1] in FIELD_OF.values():
        wrong = "the field is one of Chaos Mesh 1.x, and the API server would drop it"
        return Problem(field, wrong, "remove the field, and write when the fault runs into a Schedule around it")
    near = difflib.get_close_matches(field.name[:60], known, n=1, cutoff=0.6)
    if near:
        return Problem(field, "the field does not exist, and the API server would drop it", f"write {near[0]}")
    return Problem(
        field,
        f"the field is unknown to Chaos Mesh {VERSION}, whose API server would drop it",
        f"remove the field, unless it is newer than {VERSION} and your Chaos Mesh has it; known are "
        f"{', '.join(sorted(known))}",
    )


def _old_scheduler(field: Field, kind: str) -> Problem:
    """Returns the problem of a schedule in a fault, as Chaos Mesh 1.x had it; without it, the fault runs only once."""
    cron = field.at("cron").text
    schedule = quote(cron).replace("'", '"') if cron else '"@every 5m"'
    return Problem(
        field,
        "Chaos Mesh 2.x has no schedule in a fault, the API server would drop it, and the fault would run only once",
        f"use kind Schedule, with schedule: {schedule}, type: {kind}, and this spec as {FIELD_OF[kind]}",
    )


def _by_similarity(text: str, known: tuple[str, ...]) -> str:
    """Returns the known names, the most similar one first."""
    near = difflib.get_close_matches(text[:60], known, n=1, cutoff=0.5)
    return ", ".join([*near, *(each for each in known if each not in near)])


def metadata_names(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks the API server's rules for names in the metadata."""
    if found.within != "document":
        return
    metadata = found.parent.at("metadata")
    name, given = metadata.at("name"), metadata.at("generateName")
    if not name.text and not given.text:
        yield Problem(name, "the experiment has no name", "write a name")
    for field in (name, metadata.at("namespace")):
        if field.text and not is_dns_name(field.text):
            yield Problem(
                field, f"{quote(field.text)} is not a valid name", "use only lower-case letters, digits, '-' and '.'"
            )


RULES = (
    Rule(
        "name",
        ALL_KINDS,
        "`metadata.name` is required, and the name and the namespace must be DNS-1123 names",
        metadata_names,
    ),
)
SCHEMA = "schema"
"""The rule name of violations of a schema."""
KIND = "kind"
"""The rule name of documents of an unknown kind."""
