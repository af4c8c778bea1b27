"""Rules for selectors that Chaos Mesh accepts although they do not select the pods that their author expects.

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
from pairsim.model.status import Role
from pairsim_chaos.lint.rule import Problem, Rule
from pairsim_chaos.lint.webhook import selections
from pairsim_chaos.spec.embedded_specs import EmbeddedSpec
from pairsim_chaos.spec.field_path import Field, quote
from pairsim_chaos.spec.schema import SINGLE_FAULTS

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
    ROLE_LABEL: tuple(role.value for role in Role),
    COMPONENT_LABEL: (SIMULATOR_COMPONENT, WITNESS_COMPONENT, CONTROLLER_COMPONENT),
}
_PREFIX = f"{API_GROUP}/"
_OWN_LABELS = (ROLE_LABEL, AREA_LABEL, PLANE_LABEL)


def empty_selector(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that a selector has criteria; one without criteria selects any pod."""
    for target in selections(found):
        selector = target.at("selector")
        if selector.exists and not any(selector.at(name).value for name in _NARROWING):
            yield Problem(
                selector,
                "the selector takes any pod of the namespace",
                f"write labelSelectors: {{{ROLE_LABEL}: active}} or other criteria",
            )


def pods_alone(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that `pods` stands alone; names of pods disable all other criteria."""
    for target in selections(found):
        selector = target.at("selector")
        for name in (*_NARROWING, "podPhaseSelectors"):
            if selector.at("pods").value and name != "pods" and selector.at(name).value:
                yield Problem(
                    selector.at(name),
                    "the selector is ignored because pods are named",
                    "remove either this selector or pods",
                )


def phases(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that phases are phases of pods."""
    for target in selections(found):
        for field in target.at("selector", "podPhaseSelectors").items:
            if field.is_text and field.text.removeprefix("!") not in _PHASES:
                yield Problem(
                    field, f"{quote(field.text)} is not a phase of a pod", f"write one of {', '.join(_PHASES)}"
                )


def expressions(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that expressions have a known operator, and values where the operator needs them."""
    for target in selections(found):
        for expression in target.at("selector", "expressionSelectors").items:
            operator, values = expression.at("operator"), expression.at("values")
            if operator.text and operator.text not in _OPERATORS:
                yield Problem(
                    operator, f"{quote(operator.text)} is not an operator", f"write one of {', '.join(_OPERATORS)}"
                )
            elif operator.text in ("In", "NotIn") and not values.items:
                yield Problem(values, f"operator {operator.text} has no values", "write values: [active]")
            elif operator.text in ("Exists", "DoesNotExist") and values.items:
                yield Problem(values, f"operator {operator.text} takes no values", "remove the values")


def _labels(selector: Field) -> Iterator[tuple[Field, Field]]:
    """Yields each label of a selector: the field of its name, and the field of a value."""
    for field in selector.at("labelSelectors").fields:
        yield Field(field.path, field.name), field
    for expression in selector.at("expressionSelectors").items:
        values = expression.at("values").items
        for value in values or (expression.at("values"),):
            yield expression.at("key"), value


def unknown_labels(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that pods of a world can have the labels.

    Selectors that do not mention pairsim are not checked, because pods of other applications have their own labels.
    """
    for target in selections(found):
        labels = list(_labels(target.at("selector")))
        ours = any(key.text.startswith(_PREFIX) or value.text == APP_NAME for key, value in labels)
        for key, value in labels:
            known = _VALUES.get(key.text) if ours else None
            if key.text.startswith(_PREFIX) and key.text not in _OWN_LABELS:
                near = difflib.get_close_matches(key.text[:60], _OWN_LABELS, n=1, cutoff=0) or _OWN_LABELS
                yield Problem(key, f"no pod has a label {quote(key.text)}", f"write {near[0]}")
            elif known and value.is_text and value.text not in known:
                yield Problem(value, f"no pod has {key.text} {quote(value.text)}", f"write one of {', '.join(known)}")


def ignored_value(found: EmbeddedSpec) -> Iterator[Problem]:
    """Checks that modes without a value have none."""
    for target in selections(found):
        mode, value = target.at("mode").text, target.at("value")
        if mode in ("one", "all") and value.value:
            yield Problem(value, f"mode {mode} ignores the value", "remove the value, or write mode: fixed")


RULES = (
    Rule(
        "empty-selector",
        SINGLE_FAULTS,
        "a selector needs more than namespaces and phases; an empty one takes any pod",
        empty_selector,
    ),
    Rule("pods-alone", SINGLE_FAULTS, "`pods` must stand alone; it disables all other selectors", pods_alone),
    Rule("phase", SINGLE_FAULTS, "`podPhaseSelectors` must be phases of pods", phases),
    Rule(
        "operator",
        SINGLE_FAULTS,
        "`expressionSelectors` need a known operator, and values if the operator takes them",
        expressions,
    ),
    Rule("label", SINGLE_FAULTS, "labels of pairsim must have names and values that pods can have", unknown_labels),
    Rule("unused-value", SINGLE_FAULTS, "modes `one` and `all` take no `value`", ignored_value),
)
