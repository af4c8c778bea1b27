"""Selectors that Chaos Mesh accepts, and that select other pods than their author thinks.

Source: `pkg/selector/pod` of Chaos Mesh 2.8, and the labels that the controller and the manifests put on pods.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from pairsim.model.labels import (
    API_GROUP,
    APP_NAME,
    AREA_LABEL,
    COMPONENT_LABEL,
    CONTROLLER_COMPONENT,
    PLANE_LABEL,
    ROLE_LABEL,
    SIMULATOR_COMPONENT,
    WITNESS_COMPONENT,
)
from pairsim_chaos.lint.webhook import targets
from pairsim_chaos.spec.field_path import Body, Field, Rule, Slip, shown
from pairsim_chaos.spec.schema import FAULTS

_NARROWING = (
    "labelSelectors",
    "expressionSelectors",
    "annotationSelectors",
    "fieldSelectors",
    "nodes",
    "nodeSelectors",
    "pods",
)
_PHASES = ("Pending", "Running", "Succeeded", "Failed", "Unknown")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_VALUES = {
    ROLE_LABEL: ("active", "passive", "joining", "spare"),
    COMPONENT_LABEL: (SIMULATOR_COMPONENT, WITNESS_COMPONENT, CONTROLLER_COMPONENT),
}
_OWN_LABELS = (ROLE_LABEL, AREA_LABEL, PLANE_LABEL)


def empty_selector(body: Body) -> Iterator[Slip]:
    """A selector that narrows nothing takes any pod."""
    for target in targets(body):
        selector = target.at("selector")
        if selector.there and not any(selector.at(name).value for name in _NARROWING):
            yield Slip(
                selector,
                "it selects any pod of the namespace",
                "write labelSelectors: {pairsim.io/role: active} or others",
            )


def pods_alone(body: Body) -> Iterator[Slip]:
    """Named pods switch all other selectors off."""
    for target in targets(body):
        selector = target.at("selector")
        for name in (*_NARROWING, "podPhaseSelectors"):
            if selector.at("pods").value and name != "pods" and selector.at(name).value:
                yield Slip(selector.at(name), "it is not looked at where pods are named", "leave it or pods out")


def phases(body: Body) -> Iterator[Slip]:
    """Phases of pods have five names."""
    for target in targets(body):
        for field in target.at("selector", "podPhaseSelectors").items:
            if field.is_text and field.text.removeprefix("!") not in _PHASES:
                yield Slip(field, f"{shown(field.text)} is no phase", f"write one of {', '.join(_PHASES)}")


def expressions(body: Body) -> Iterator[Slip]:
    """Expressions have four operators, and values where the operator needs them."""
    for target in targets(body):
        for expression in target.at("selector", "expressionSelectors").items:
            operator, values = expression.at("operator"), expression.at("values")
            if operator.text and operator.text not in _OPERATORS:
                yield Slip(operator, f"{shown(operator.text)} is no operator", f"write one of {', '.join(_OPERATORS)}")
            elif operator.text in ("In", "NotIn") and not values.items:
                yield Slip(values, f"operator {operator.text} has no values", "write values: [active]")
            elif operator.text in ("Exists", "DoesNotExist") and values.items:
                yield Slip(values, f"operator {operator.text} takes no values", "leave them out")


def _labels(selector: Field) -> Iterator[tuple[Field, Field]]:
    """Each label that is asked for: where its name stands, and a value."""
    for field in selector.at("labelSelectors").fields:
        yield Field(field.place, field.name), field
    for expression in selector.at("expressionSelectors").items:
        values = expression.at("values").items
        for value in values or (expression.at("values"),):
            yield expression.at("key"), value


def unknown_labels(body: Body) -> Iterator[Slip]:
    """Labels that no pod of a world ever has select nothing. Other applications' pods have labels of their own."""
    for target in targets(body):
        labels = list(_labels(target.at("selector")))
        ours = any(key.text.startswith(f"{API_GROUP}/") or value.text == APP_NAME for key, value in labels)
        for key, value in labels:
            known = _VALUES.get(key.text) if ours else None
            if key.text.startswith(f"{API_GROUP}/") and key.text not in _OWN_LABELS:
                near = difflib.get_close_matches(key.text[:60], _OWN_LABELS, n=1, cutoff=0) or _OWN_LABELS
                yield Slip(key, f"no pod has a label {shown(key.text)}", f"write {near[0]}")
            elif known and value.is_text and value.text not in known:
                yield Slip(value, f"no pod has {key.text} {shown(value.text)}", f"write one of {', '.join(known)}")


def ignored_value(body: Body) -> Iterator[Slip]:
    """Modes that take no value."""
    for target in targets(body):
        mode, value = target.at("mode").text, target.at("value")
        if mode in ("one", "all") and value.value:
            yield Slip(value, f"mode {mode} does not look at it", "leave it out, or write mode: fixed")


RULES = (
    Rule(
        "empty-selector",
        FAULTS,
        "a selector has more than namespaces and phases: an empty one takes any pod",
        empty_selector,
    ),
    Rule("pods-alone", FAULTS, "`pods` stands alone: all other selectors are ignored beside it", pods_alone),
    Rule("phase", FAULTS, "`podPhaseSelectors` are phases of pods", phases),
    Rule("operator", FAULTS, "`expressionSelectors` have a known operator, and values if it needs them", expressions),
    Rule("label", FAULTS, "labels of pairsim and their values are ones that pods have", unknown_labels),
    Rule("unused-value", FAULTS, "modes `one` and `all` have no `value`", ignored_value),
)
