"""What the fleet index keeps of one process."""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from pairsim.model.status import ReplicaStatus, WitnessGroup
from pairsim_controller.plan.progress import ProgressTracker
from pairsim_controller.plan.view import Label, ObservedProcess


class ProcessEntry:
    """A process with its labels, its progress and, by area, the parts of its status that decisions depend on."""

    __slots__ = ("groups", "heard_start", "keys", "label", "process", "progress", "stalled_start", "status_at")

    def __init__(self, process: ObservedProcess) -> None:
        self.process = process
        self.status_at = 0.0
        self.heard_start: int | None = None
        self.label: Label | None = None
        self.progress = ProgressTracker()
        self.stalled_start: float | None = None
        self.groups: dict[str, WitnessGroup] = {}
        self.keys: dict[str, Hashable] = {}


def decisive_part(status: ReplicaStatus) -> Hashable:
    """Returns what a round of an area depends on in a status.

    The version of the map is left out. A new one reaches a thousand areas within a second, and a round of each would
    keep labels waiting; what issues the maps looks at the versions by itself.
    """
    return msgspec.structs.replace(status, version=0, number=0).significant()


def remove_from(sets: dict[str, set[str]], area: str, name: str) -> None:
    """Removes a name from the set of an area, and the set when it becomes empty."""
    if area in sets:
        sets[area].discard(name)
        if not sets[area]:
            del sets[area]
