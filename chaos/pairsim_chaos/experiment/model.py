"""Experiments as typed values: faults, status checks, schedules and workflows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from pairsim.model.documents.yaml import YamlValue
from pairsim_chaos.experiment.faults import (
    EngineFault,
    ExperimentPart,
    Fault,
    IOFault,
    NetworkFault,
    PodFault,
    StressFault,
    TimeFault,
)
from pairsim_chaos.spec.schema import plural

FAULT_TYPES: dict[str, type[Fault]] = {
    "PodChaos": PodFault,
    "NetworkChaos": NetworkFault,
    "StressChaos": StressFault,
    "TimeChaos": TimeFault,
    "IOChaos": IOFault,
    "EngineChaos": EngineFault,
}
"""The type of each fault, by its kind."""


def kind_of(fault: Fault) -> str:
    """Returns the kind of a fault, such as `PodChaos`."""
    return next(kind for kind, fault_type in FAULT_TYPES.items() if isinstance(fault, fault_type))


class StatusCodeCriteria(ExperimentPart, frozen=True):
    """The status codes that count as a good answer; `pairsim_chaos.spec.quantities.parse_status_codes` reads them."""

    status_code: str


class HttpCheck(ExperimentPart, frozen=True):
    """The HTTP request of a status check."""

    url: str
    criteria: StatusCodeCriteria
    method: Literal["GET", "POST"] = "GET"
    headers: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    body: str = ""


class StatusCheck(ExperimentPart, frozen=True):
    """A `StatusCheck`: good after `success_threshold` good answers in a row, bad after `failure_threshold` others."""

    http: HttpCheck
    mode: Literal["Synchronous", "Continuous"] = "Synchronous"
    interval_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    duration: str = ""


class Schedule(msgspec.Struct, frozen=True):
    """A `Schedule`.

    Attributes:
        schedule: A cron expression that `pairsim_chaos.spec.cron` has checked.
        job: The fault or workflow that every run starts.
        concurrency: Whether a run may start while the one before is still running.
    """

    schedule: str
    job: Fault | Workflow
    concurrency: Literal["Forbid", "Allow"] = "Forbid"


class Template(msgspec.Struct, frozen=True):
    """A step of a `Workflow`.

    Attributes:
        name: The name of the step.
        kind: `Serial`, `Parallel`, `Suspend`, `StatusCheck`, `Schedule`, `Task` or a kind of fault.
        deadline: Seconds after which the step ends; None if it ends by itself.
        children: The names of the templates that a `Serial` or `Parallel` step runs, in order.
        job: The fault, check or schedule that the step runs; None for steps that only have children, wait, or run a
            container (`Task`).
        abort: Whether a failed check ends the workflow.
    """

    name: str
    kind: str
    deadline: float | None
    children: tuple[str, ...]
    job: Job | None
    abort: bool


class Workflow(msgspec.Struct, frozen=True):
    """A `Workflow`; `entry` is a name in `templates`."""

    entry: str
    templates: dict[str, Template]


Job: TypeAlias = Fault | StatusCheck | Schedule
Spec: TypeAlias = Fault | Schedule | Workflow | StatusCheck


def faults_of(spec: Spec | Job | None) -> Iterator[Fault]:
    """Yields all faults that a spec may inject, at any depth."""
    if isinstance(spec, Fault):
        yield spec
    elif isinstance(spec, Schedule):
        yield from faults_of(spec.job)
    elif isinstance(spec, Workflow):
        for template in spec.templates.values():
            yield from faults_of(template.job)


class Experiment(msgspec.Struct, frozen=True):
    """One document of an experiment file.

    Attributes:
        kind: The kind, such as `PodChaos`.
        name: The name of the experiment; empty if the API server generates one (`generateName`).
        namespace: The namespace of the experiment; empty for the namespace of the world.
        spec: The fault, schedule, workflow or check of the document.
        document: The document as it is sent to a cluster.
        line: The line in the file on which the document starts, counted from 1.
    """

    kind: str
    name: str
    namespace: str
    spec: Spec
    document: dict[str, YamlValue]
    line: int

    @property
    def plural(self) -> str:
        """Returns the kind in paths of the API: `/apis/chaos-mesh.org/v1alpha1/namespaces/NAMESPACE/PLURAL/NAME`."""
        return plural(self.kind)
