"""Which processes of a local world a selector means: they are labelled as their pods would be. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence

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
from pairsim_chaos.experiment.faults import Target, Timed


class LocalProcess(LocalProcessStatus, frozen=True):
    """One process, as `GET /v1/processes` tells of it."""

    @property
    def host(self) -> str:
        """Its address."""
        return self.peer.rpartition(":")[0]

    @property
    def labels(self) -> dict[str, str]:
        """As a pod's."""
        written = {PLANE_LABEL: self.plane, AREA_LABEL: self.area, ROLE_LABEL: self.role}
        return {
            NAME_LABEL: APP_NAME,
            PART_OF_LABEL: APP_NAME,
            COMPONENT_LABEL: self.kind,
            **{name: value for name, value in written.items() if value},
        }


def candidates(target: Target, processes: Sequence[LocalProcess]) -> list[LocalProcess]:
    """All that the selector means, whatever the mode; a local world has one namespace, whose name does not matter."""
    return [process for process in processes if target.selector.matches_labels(process.labels)]


def chosen(target: Target, processes: Sequence[LocalProcess], rng: random.Random) -> tuple[LocalProcess, ...]:
    """Those that the fault is made to."""
    found = candidates(target, processes)
    most = target.most(len(found))
    if target.mode == "random-max-percent":
        most = rng.randint(0, most)
    return tuple(rng.sample(found, most))


def unanswerable(target: Target) -> str:
    """Why a selector means nothing here; empty if it does."""
    fields = target.selector.beyond_labels()
    if fields:
        return f"a local world has no {', '.join(fields)} to select by"
    labels = {**target.selector.label_selectors}
    if labels.get(COMPONENT_LABEL) == CONTROLLER_COMPONENT:
        return "the controller of a local world is `pairsim up` itself, without which nothing of it runs"
    return ""


def foreign_container(fault: Timed, found: Sequence[LocalProcess]) -> str:
    """Why the containers that are named are not there; empty if they are."""
    for process in found:
        if fault.container_names and process.kind not in fault.container_names:
            return f"{process.process} has one container, {process.kind}, and not {', '.join(fault.container_names)}"
    return ""
