"""The seam between experiments and the world that they attack.

A *target* is a running world that can be observed and attacked. Two packages implement the protocol `Target`:
`pairsim_chaos.local` for a world of `pairsim up`, and `pairsim_chaos.cluster` for a world on Kubernetes. The runner and
the probe use this module only and import neither of the two.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from pairsim.model.geometry import Box
from pairsim_chaos.experiment.model import Experiment, HttpCheck

SIMULATOR, WITNESS = "simulator", "witness"


class TargetPod(msgspec.Struct, frozen=True):
    """A process of the world: a pod, or the local process that takes its place.

    Attributes:
        name: The name of the pod or process.
        component: `simulator`, `witness` or `controller`.
        area, role: The values of its labels `pairsim.io/area` and `pairsim.io/role`; empty if a label is missing.
        url: The base of its HTTP API; empty while the process has no address.
    """

    name: str
    component: str
    area: str
    role: str
    url: str


class AreaView(msgspec.Struct, frozen=True):
    """An area as its controller sees it.

    Attributes:
        redundancy_gap: Why the area lacks redundancy; empty if the area is redundant.
    """

    area: str
    plane: str
    bounds: Box
    redundant: bool
    redundancy_gap: str = ""


class WorldSnapshot(msgspec.Struct, frozen=True):
    """The areas and processes of a world at one moment."""

    areas: tuple[AreaView, ...]
    pods: tuple[TargetPod, ...]

    @property
    def simulator_urls(self) -> tuple[str, ...]:
        """Returns the addresses of all simulators, because every simulator may be assigned to any area."""
        return tuple(pod.url for pod in self.pods if pod.component == SIMULATOR and pod.url)


StatusCheckHandler = Callable[[HttpCheck, float], Awaitable[int]]
"""Performs the request of a `StatusCheck` within some seconds; returns the status code, or 0 without an answer."""


class WorldError(Exception):
    """The world cannot be observed, or a fault cannot be injected or removed; the message tells the user why."""


class UnsupportedFaultError(WorldError):
    """The target cannot inject this fault; the world was not changed."""


class Injection(Protocol):
    """A fault that was injected and is still in place."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the processes that the fault was injected into."""

    async def wait(self) -> None:
        """Waits until the fault ends by itself after its duration.

        Raises:
            WorldError: The fault did not end as its file says.
        """

    async def recover(self) -> None:
        """Removes the fault; returns at once if the fault has already ended.

        Raises:
            WorldError: The fault cannot be removed; the message says what to do.
        """


class Target(Protocol):
    """A running world that can be observed and attacked."""

    async def snapshot(self) -> WorldSnapshot:
        """Returns the current areas and processes.

        Raises:
            WorldError: The world does not answer.
        """

    async def watch_labels(self, on_labels: Callable[[str, frozenset[str]], None]) -> None:
        """Calls `on_labels` with an area and all its pods labelled active, at every change, until cancelled."""

    async def unsupported_reason(self, experiment: Experiment) -> str:
        """Returns why this target cannot run the experiment, or an empty string if it can."""

    async def inject(self, experiment: Experiment, handler: StatusCheckHandler) -> Injection:
        """Starts an experiment; `handler` performs its status checks where Chaos Mesh does not.

        Raises:
            UnsupportedFaultError: This target cannot inject the fault.
            WorldError: The injection failed; everything of it was removed again.
        """
