"""Finds the specs in a document: its own, that of a `Schedule`, those of a `Workflow`'s templates."""

from __future__ import annotations

from collections.abc import Iterator

from pairsim_chaos.spec.field_path import Body, Field
from pairsim_chaos.spec.schema import FAULTS, KINDS

FIELD_OF = {
    "PodChaos": "podChaos",
    "NetworkChaos": "networkChaos",
    "StressChaos": "stressChaos",
    "TimeChaos": "timeChaos",
    "IOChaos": "ioChaos",
    "Workflow": "workflow",
}
"""In which field of a `Schedule` or of a template a kind's spec stands."""
_NEVER_RUN = ("aws", "azure", "block", "dns", "gcp", "http", "jvm", "kernel", "physicalmachine")
FOREIGN = tuple(f"{name}Chaos" for name in _NEVER_RUN)
"""Fields of Chaos Mesh's faults that pairsim neither checks nor runs."""


def bodies(document: Field) -> Iterator[Body]:
    """Every spec of a document, the outer ones first."""
    kind = document.at("kind").text
    if kind in KINDS:
        yield from _within(Body(kind, document.at("spec"), document, "document"))


def _within(body: Body) -> Iterator[Body]:
    yield body
    if body.kind == "Schedule":
        for kind in (*FAULTS, "Workflow"):
            inner = body.spec.at(FIELD_OF[kind])
            if inner.there:
                yield from _within(Body(kind, inner, body.spec, "schedule"))
    if body.kind == "Workflow":
        for template in body.spec.at("templates").items:
            yield from _of_template(template)


def _of_template(template: Field) -> Iterator[Body]:
    for kind in FAULTS:
        inner = template.at(FIELD_OF[kind])
        if inner.there:
            yield Body(kind, inner, template, "template")
    for kind, name in (("StatusCheck", "statusCheck"), ("Schedule", "schedule")):
        inner = template.at(name)
        if inner.there:
            yield from _within(Body(kind, inner, template, "template"))
