"""Experiments: the documents of a file, typed, and only if nothing is wrong with them.

A runner never meets a selector that takes everybody or a fault without end, since those are findings of the linter.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from pairsim.model.documents.yaml import YamlDocument, YamlValue
from pairsim_chaos.experiment.faults import Fault, IOFault, NetworkFault, Part, PodFault, StressFault, TimeFault
from pairsim_chaos.lint.lint import Finding, lint_documents
from pairsim_chaos.spec.embedded_specs import FIELD_OF
from pairsim_chaos.spec.quantities import seconds
from pairsim_chaos.spec.schema import plural
from pairsim_chaos.spec.yaml_source import parse

_FAULTS: dict[str, type[Fault]] = {
    "PodChaos": PodFault,
    "NetworkChaos": NetworkFault,
    "StressChaos": StressFault,
    "TimeChaos": TimeFault,
    "IOChaos": IOFault,
}


def kind_of(fault: Fault) -> str:
    """Of Chaos Mesh."""
    return next(kind for kind, made in _FAULTS.items() if isinstance(fault, made))


class ExperimentError(ValueError):
    """A file that a runner must not use.

    Attributes:
        findings: What is wrong with it, in the order of lines.
    """

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__(
            "\n".join(f"line {each.line}: {each.field}: {each.wrong}; {each.instead}" for each in findings)
        )
        self.findings = findings


class Criteria(Part, frozen=True):
    """Which answers are good; `pairsim_chaos.spec.quantities.status_codes` reads it."""

    status_code: str


class Http(Part, frozen=True):
    """Whom a check asks."""

    url: str
    criteria: Criteria
    method: Literal["GET", "POST"] = "GET"
    headers: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    body: str = ""


class StatusCheck(Part, frozen=True):
    """A `StatusCheck`: good after `success_threshold` good answers in a row, bad after `failure_threshold` others."""

    http: Http
    mode: Literal["Synchronous", "Continuous"] = "Synchronous"
    interval_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    duration: str = ""


class Schedule(msgspec.Struct, frozen=True):
    """A `Schedule`.

    Attributes:
        schedule: As `pairsim_chaos.spec.cron` checks it.
        runs: What it runs, each time.
        concurrency: Whether the next may start while one still runs.
    """

    schedule: str
    runs: Fault | Workflow
    concurrency: Literal["Forbid", "Allow"] = "Forbid"


class Template(msgspec.Struct, frozen=True):
    """A step of a `Workflow`.

    Attributes:
        name: Its own.
        kind: `Serial`, `Parallel`, `Suspend`, `StatusCheck`, `Schedule`, `Task` or a kind of fault.
        deadline: Seconds after which it is over; None if it ends by itself.
        children: Names of templates, in order; of `Serial` and `Parallel`.
        does: What it does; None for those that only have children, wait, or run a container (`Task`).
        abort: Whether a check that fails ends the workflow.
    """

    name: str
    kind: str
    deadline: float | None
    children: tuple[str, ...]
    does: Fault | StatusCheck | Schedule | None
    abort: bool


class Workflow(msgspec.Struct, frozen=True):
    """A `Workflow`: `entry` is a name in `templates`."""

    entry: str
    templates: dict[str, Template]


Spec: TypeAlias = Fault | Schedule | Workflow | StatusCheck


class Experiment(msgspec.Struct, frozen=True):
    """One document of a file.

    Attributes:
        kind: Of Chaos Mesh.
        name: Its own; empty if the API server shall make one (`generateName`).
        namespace: Empty for that of whoever runs it.
        spec: What it does.
        document: As it is sent to a cluster.
        line: Where it starts in its file.
    """

    kind: str
    name: str
    namespace: str
    spec: Spec
    document: dict[str, YamlValue]
    line: int

    @property
    def plural(self) -> str:
        """Its kind in paths of the API: `/apis/chaos-mesh.org/v1alpha1/namespaces/NAMESPACE/PLURAL/NAME`."""
        return plural(self.kind)


def load_experiments(text: str) -> tuple[Experiment, ...]:
    """The experiments of a file's text.

    Raises:
        YamlError: It is no YAML.
        ExperimentError: Something is wrong with it; all of what the linter finds.
    """
    documents = parse(text)
    findings = lint_documents(documents)
    if findings:
        raise ExperimentError(findings)
    return tuple(_experiment(document) for document in documents)


def _experiment(document: YamlDocument) -> Experiment:
    value = _mapping(document.value)
    metadata = _mapping(value["metadata"])
    kind = str(value["kind"])
    return Experiment(
        kind=kind,
        name=str(metadata.get("name") or ""),
        namespace=str(metadata.get("namespace") or ""),
        spec=_spec(kind, _mapping(value["spec"])),
        document=value,
        line=document.line,
    )


def _mapping(value: YamlValue) -> dict[str, YamlValue]:
    return value if isinstance(value, dict) else {}


def _spec(kind: str, value: dict[str, YamlValue]) -> Spec:
    if kind == "StatusCheck":
        return msgspec.convert(_written(value), StatusCheck)
    if kind == "Schedule":
        return _schedule(value)
    return _workflow(value) if kind == "Workflow" else _fault(kind, value)


def _fault(kind: str, value: dict[str, YamlValue]) -> Fault:
    return msgspec.convert(_written(value), _FAULTS[kind])


def _written(value: YamlValue) -> YamlValue:
    """Without nulls: the API server drops them, so that defaults take their places."""
    if isinstance(value, dict):
        return {name: _written(each) for name, each in value.items() if each is not None}
    return [_written(each) for each in value] if isinstance(value, list) else value


def _schedule(value: dict[str, YamlValue]) -> Schedule:
    kind = str(value["type"])
    body = _mapping(value[FIELD_OF[kind]])
    return Schedule(
        schedule=str(value["schedule"]),
        runs=_workflow(body) if kind == "Workflow" else _fault(kind, body),
        concurrency="Allow" if value.get("concurrencyPolicy") == "Allow" else "Forbid",
    )


def _workflow(value: dict[str, YamlValue]) -> Workflow:
    listed = value["templates"]
    templates = [_template(_mapping(each)) for each in (listed if isinstance(listed, list) else ())]
    return Workflow(str(value["entry"]), {template.name: template for template in templates})


def _template(value: dict[str, YamlValue]) -> Template:
    kind, children = str(value["templateType"]), value.get("children")
    does: Fault | StatusCheck | Schedule | None = None
    if kind in _FAULTS:
        does = _fault(kind, _mapping(value[FIELD_OF[kind]]))
    elif kind == "StatusCheck":
        does = msgspec.convert(_written(value["statusCheck"]), StatusCheck)
    elif kind == "Schedule":
        does = _schedule(_mapping(value["schedule"]))
    return Template(
        name=str(value["name"]),
        kind=kind,
        deadline=seconds(str(value.get("deadline") or "")),
        children=tuple(str(child) for child in children) if isinstance(children, list) else (),
        does=does,
        abort=value.get("abortWithStatusCheck") is True,
    )
