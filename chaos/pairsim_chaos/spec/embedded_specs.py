"""Finds all specs of a document: its own, the one that a `Schedule` embeds, and those of a `Workflow`'s templates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pairsim_chaos.spec.field_path import Field
from pairsim_chaos.spec.schema import ALL_KINDS, FAULTS

FIELD_OF = {
    "PodChaos": "podChaos",
    "NetworkChaos": "networkChaos",
    "StressChaos": "stressChaos",
    "TimeChaos": "timeChaos",
    "IOChaos": "ioChaos",
    "Workflow": "workflow",
}
"""The field of a `Schedule` or of a template that holds the spec of each kind."""
_UNSUPPORTED = ("aws", "azure", "block", "dns", "gcp", "http", "jvm", "kernel", "physicalmachine")
UNSUPPORTED_FIELDS = tuple(f"{name}Chaos" for name in _UNSUPPORTED)
"""The fields of those faults of Chaos Mesh that pairsim neither checks nor runs."""


class EmbeddedSpec(NamedTuple):
    """A spec of one kind, at any depth of a document.

    Attributes:
        kind: The kind of the spec.
        spec: The field that holds the spec.
        parent: The field around it: a document, the spec of a `Schedule`, or a template of a `Workflow`.
        within: The type of the parent: `document`, `schedule` or `template`.
    """

    kind: str
    spec: Field
    parent: Field
    within: str


def embedded_specs(document: Field) -> Iterator[EmbeddedSpec]:
    """Yields every spec of a document, outer specs before inner ones."""
    kind = document.at("kind").text
    if kind in ALL_KINDS:
        yield from _within(EmbeddedSpec(kind, document.at("spec"), document, "document"))


def _within(found: EmbeddedSpec) -> Iterator[EmbeddedSpec]:
    yield found
    if found.kind == "Schedule":
        for kind in (*FAULTS, "Workflow"):
            inner = found.spec.at(FIELD_OF[kind])
            if inner.exists:
                yield from _within(EmbeddedSpec(kind, inner, found.spec, "schedule"))
    if found.kind == "Workflow":
        for template in found.spec.at("templates").items:
            yield from _of_template(template)


def _of_template(template: Field) -> Iterator[EmbeddedSpec]:
    for kind in FAULTS:
        inner = template.at(FIELD_OF[kind])
        if inner.exists:
            yield EmbeddedSpec(kind, inner, template, "template")
    for kind, name in (("StatusCheck", "statusCheck"), ("Schedule", "schedule")):
        inner = template.at(name)
        if inner.exists:
            yield from _within(EmbeddedSpec(kind, inner, template, "template"))
