"""Selects processes of a local world by the labels that their pods would have; pure functions."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pairsim.addresses import parse_address
from pairsim.model.labels import (
    APP_NAME,
    AREA_LABEL,
    COMPONENT_LABEL,
    CONTROLLER_COMPONENT,
    NAME_LABEL,
    PART_OF_LABEL,
    PLANE_LABEL,
    ROLE_LABEL,
)
from pairsim.model.world_status import LocalProcessStatus
from pairsim_chaos.experiment.faults import PodSelection, TimedFault


class TargetProcess(LocalProcessStatus, frozen=True):
    """A process as `GET /v1/processes` reports it."""

    @property
    def host(self) -> str:
        """Returns the address of its host."""
        return parse_address(self.peer).host

    @property
    def labels(self) -> dict[str, str]:
        """Returns the labels that its pod would have."""
        written = {PLANE_LABEL: self.plane, AREA_LABEL: self.area, ROLE_LABEL: self.role}
        return {
            NAME_LABEL: APP_NAME,
            PART_OF_LABEL: APP_NAME,
            COMPONENT_LABEL: self.kind,
            **{name: value for name, value in written.items() if value},
        }


def candidates(selection: PodSelection, processes: Sequence[TargetProcess]) -> list[TargetProcess]:
    """Returns all processes that match the selector, whatever the mode.

    Namespaces are ignored, because a local world has only one.
    """
    return [process for process in processes if selection.selector.matches_labels(process.labels)]


def choose(
    selection: PodSelection, processes: Sequence[TargetProcess], rng: random.Random
) -> tuple[TargetProcess, ...]:
    """Returns the processes that the fault is injected into, as many as the mode says."""
    found = candidates(selection, processes)
    count = selection.max_count(len(found))
    if selection.mode == "random-max-percent":
        count = rng.randint(0, count)
    return tuple(rng.sample(found, count))


def nothing_chosen(selection: PodSelection, processes: Sequence[TargetProcess]) -> str:
    """Returns why no process was chosen."""
    count = len(candidates(selection, processes))
    if not count:
        return "the selector matches no process of the world"
    matches = "1 process that matches" if count == 1 else f"{count} processes that match"
    return f"mode {selection.mode} chose none of the {matches}: write another mode, or run the experiment again"


def unsupported_selector(selection: PodSelection) -> str:
    """Returns why a local world cannot evaluate the selector; empty if it can."""
    fields = selection.selector.beyond_labels()
    if fields:
        return f"a local world does not support the selectors {', '.join(fields)}"
    labels = {**selection.selector.label_selectors}
    if labels.get(COMPONENT_LABEL) == CONTROLLER_COMPONENT:
        return "the controller of a local world is `pairsim up` itself, and the world does not run without it"
    return ""


def missing_container(fault: TimedFault, found: Sequence[TargetProcess]) -> str:
    """Returns why the processes do not have the containers that the fault names; empty if they do."""
    for process in found:
        if fault.container_names and process.kind not in fault.container_names:
            return f"{process.process} has one container, {process.kind}, and not {', '.join(fault.container_names)}"
    return ""
