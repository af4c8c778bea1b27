"""What an experiment plays in: the areas and processes of a world, wherever it runs. A seam with two sides.

`chaos.local` and `chaos.cluster` look at a world and do things to it; whatever stands on this seam knows neither.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from pairsim.model.geometry import Box
from pairsim_chaos.experiment.experiment import Experiment, Http

SIMULATOR, WITNESS = "simulator", "witness"


class Pod(msgspec.Struct, frozen=True):
    """A process of the world: a pod, or a local process in place of one.

    Attributes:
        component: `simulator`, `witness` or `controller`.
        area, role: What it is labelled as; empty if it is not.
        url: The base of its HTTP API; empty while it has none.
    """

    name: str
    component: str
    area: str
    role: str
    url: str


class Place(msgspec.Struct, frozen=True):
    """An area, as whoever looks after it sees it.

    Attributes:
        missing: Why it is not redundant; empty if it is.
    """

    area: str
    plane: str
    bounds: Box
    redundant: bool
    missing: str = ""


class Scene(msgspec.Struct, frozen=True):
    """One look at a world."""

    places: tuple[Place, ...]
    pods: tuple[Pod, ...]

    @property
    def urls(self) -> tuple[str, ...]:
        """Of all simulators: any of them may have any area."""
        return tuple(pod.url for pod in self.pods if pod.component == SIMULATOR and pod.url)


Asked = Callable[[Http, float], Awaitable[int]]
"""Answers a `StatusCheck` within so many seconds, with a status code; 0 if nobody answers."""


class WorldError(Exception):
    """The world cannot be looked at, or a fault cannot be injected or taken back; a sentence for the user."""


class RefusedFaultError(WorldError):
    """This side cannot make the fault; nothing was done."""


class Injection(Protocol):
    """A fault that is being made."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the processes that it was made to."""

    async def over(self) -> None:
        """Waits until it ends by itself, as its duration says.

        Raises:
            WorldError: It will not.
        """

    async def recover(self) -> None:
        """Takes it back; at once if it is over.

        Raises:
            WorldError: It cannot be; what to do about it.
        """


class World(Protocol):
    """A world that can be looked at and hurt."""

    async def look(self) -> Scene:
        """As it is now.

        Raises:
            WorldError: It does not answer.
        """

    async def labels(self, seen: Callable[[str, frozenset[str]], None]) -> None:
        """Tells of areas and of all their pods that are labelled active, at every change, until it is cancelled."""

    async def refusal(self, experiment: Experiment) -> str:
        """Why an experiment cannot be made here; empty if it can."""

    async def inject(self, experiment: Experiment, asked: Asked) -> Injection:
        """Begins an experiment; `asked` answers its status checks where nobody else would.

        Raises:
            RefusedFaultError: It cannot be made here.
            WorldError: It failed; nothing of it is left.
        """
