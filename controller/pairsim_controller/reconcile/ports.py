"""The ports of the reconciler: everything that differs between local processes and Kubernetes.

`kube.adapters` implements them with pods and `Area` objects, `local.adapters` with a data folder and a process pool. An
implementation raises its own errors (an API error, an OSError, a lost lease); the reconciler passes them on to the
adapter that called it, and takes no further step in that round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from pairsim.client import ProcessClient
from pairsim.model.authority import PlaneMap
from pairsim_controller.plan.authority import MapRecord
from pairsim_controller.plan.view import Report, Request, SetLabel, View


class RecordStore(Protocol):
    """The durable memory of a controller: which assignment was decided for which area."""

    def manages(self, area: str) -> bool:
        """Returns whether this controller decides about an area; the labels of other areas are kept true as well."""

    def claimed(self, area: str) -> bool:
        """Returns whether `claim` has nothing to do."""

    async def claim(self, area: str) -> None:
        """Makes sure that the area cannot vanish before its members are released."""

    async def write(self, view: View) -> None:
        """Makes `view.recorded` durable, or its absence; returns at once if it is durable already.

        The reconciler calls it in every round before any request is sent, so a write that failed is repeated first.
        """

    async def forget(self, area: str) -> None:
        """Gives up an area that is not wanted, has no record, and that no process holds."""


class MapStore(Protocol):
    """The durable memory of a controller: the newest map of each plane."""

    def recorded(self, plane: str) -> MapRecord | None:
        """Returns the record of a plane; None if the plane is gone, so that its areas keep what they know."""

    async def write(self, record: MapRecord, made: PlaneMap) -> None:
        """Makes the record of a map durable. It raises if another controller wrote one meanwhile.

        The issuer calls it before any grant of the map is sent.
        """


class LabelWriter(Protocol):
    """The role labels of processes."""

    async def apply(self, change: SetLabel) -> None:
        """Changes the labels of one process, and puts the acknowledged labels into the fleet index.

        Raises if the change was not acknowledged; then the index holds the last labels that were.
        """


class ProcessGateway(Protocol):
    """The processes as recipients of requests."""

    def all_heard(self) -> bool:
        """Returns whether every process that may hold an area has been heard (or has had the time for it).

        Before that, a process that seems to be a spare may hold an area, and no area is created.
        """

    def dispatch(self, request: Request) -> None:
        """Sends a request in the background; the same request to the same process is in flight at most once."""

    def failing(self, area: str, now: float, busy: Collection[str]) -> Iterable[Report]:
        """Returns a report for each request about an area that fails again and again.

        Failures at the processes of `busy`, which cannot answer yet, are forgotten.
        """


class Reporter(Protocol):
    """Observes rounds, for the people who look after the world."""

    def observe(self, view: View, now: float) -> None:
        """Takes in the view of a round before anything is changed; `now` is a monotonic time in seconds."""

    def publish(self, area: str, reports: Sequence[Report], now: float) -> None:
        """Takes in all problems that an area has at the end of a round, also if the round failed."""


class BackupStore(Protocol):
    """The place that keeps the last state of an area."""

    async def back_up(self, client: ProcessClient, area: str) -> None:
        """Saves the state that the client's process has of an area, and records that before a member is released."""
