"""Loads experiments from the text of a file.

A file with findings of the linter is rejected as a whole. The runner therefore never meets a selector that takes every
pod, or a fault without an end.
"""

from __future__ import annotations

import msgspec

from pairsim.model.documents.yaml import YamlValue
from pairsim_chaos.experiment.faults import Fault
from pairsim_chaos.experiment.model import FAULT_TYPES, Experiment, Job, Schedule, Spec, StatusCheck, Template, Workflow
from pairsim_chaos.lint.lint import Finding, lint_documents
from pairsim_chaos.spec.embedded_specs import FIELD_OF
from pairsim_chaos.spec.field_path import Field
from pairsim_chaos.spec.listed_objects import listed_objects
from pairsim_chaos.spec.quantities import parse_duration
from pairsim_chaos.spec.yaml_source import parse


class ExperimentError(ValueError):
    """A file that must not be run because the linter finds problems in it.

    Attributes:
        findings: The findings in the order of their lines.
    """

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__(
            "\n".join(f"line {each.line}: {each.field}: {each.wrong}; {each.suggestion}" for each in findings)
        )
        self.findings = findings


def load_experiments(text: str) -> tuple[Experiment, ...]:
    """Returns the experiments of a file's text, one for each document or item of a list.

    Raises:
        YamlError: The text cannot be read as YAML.
        ExperimentError: The linter has findings; the error holds all of them.
    """
    documents = parse(text)
    findings = lint_documents(documents)
    if findings:
        raise ExperimentError(findings)
    return tuple(
        _experiment(found, document.line_of(found.path)) for document in documents for found in listed_objects(document)
    )


def _experiment(found: Field, line: int) -> Experiment:
    value = _mapping(found.value)
    metadata = _mapping(value["metadata"])
    kind = str(value["kind"])
    return Experiment(
        kind=kind,
        name=str(metadata.get("name") or ""),
        namespace=str(metadata.get("namespace") or ""),
        spec=_spec(kind, _mapping(value["spec"])),
        document=value,
        line=line,
    )


def _mapping(value: YamlValue) -> dict[str, YamlValue]:
    return value if isinstance(value, dict) else {}


def _spec(kind: str, value: dict[str, YamlValue]) -> Spec:
    if kind == "StatusCheck":
        return msgspec.convert(_without_nulls(value), StatusCheck)
    if kind == "Schedule":
        return _schedule(value)
    return _workflow(value) if kind == "Workflow" else _fault(kind, value)


def _fault(kind: str, value: dict[str, YamlValue]) -> Fault:
    return msgspec.convert(_without_nulls(value), FAULT_TYPES[kind])


def _without_nulls(value: YamlValue) -> YamlValue:
    """Removes null fields, as the API server does, so that defaults take their places."""
    if isinstance(value, dict):
        return {name: _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _schedule(value: dict[str, YamlValue]) -> Schedule:
    kind = str(value["type"])
    spec = _mapping(value[FIELD_OF[kind]])
    return Schedule(
        schedule=str(value["schedule"]),
        job=_workflow(spec) if kind == "Workflow" else _fault(kind, spec),
        concurrency="Allow" if value.get("concurrencyPolicy") == "Allow" else "Forbid",
    )


def _workflow(value: dict[str, YamlValue]) -> Workflow:
    listed = value["templates"]
    templates = [_template(_mapping(each)) for each in (listed if isinstance(listed, list) else ())]
    return Workflow(str(value["entry"]), {template.name: template for template in templates})


def _template(value: dict[str, YamlValue]) -> Template:
    kind, children = str(value["templateType"]), value.get("children")
    job: Job | None = None
    if kind in FAULT_TYPES:
        job = _fault(kind, _mapping(value[FIELD_OF[kind]]))
    elif kind == "StatusCheck":
        job = msgspec.convert(_without_nulls(value["statusCheck"]), StatusCheck)
    elif kind == "Schedule":
        job = _schedule(_mapping(value["schedule"]))
    return Template(
        name=str(value["name"]),
        kind=kind,
        deadline=parse_duration(str(value.get("deadline") or "")),
        children=tuple(str(child) for child in children) if isinstance(children, list) else (),
        job=job,
        abort=value.get("abortWithStatusCheck") is True,
    )
