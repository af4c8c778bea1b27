"""A witness process: the third vote of many areas. It holds their logs and never simulates."""

from __future__ import annotations

import os
from collections.abc import Callable

import msgspec

from pairsim.model.assignment import Assignment
from pairsim.model.status import WitnessGroup, WitnessStatus
from pairsim.replication.membership.witness_node import WitnessNode
from pairsim.replication.process.group_resources import FileGroupResources, PeerRouter, area_folder
from pairsim.replication.process.raft_loop import RaftLoop
from pairsim.replication.process.shell import ProcessShell
from pairsim.replication.service import RefusedError
from pairsim.settings import ProcessSettings


class WitnessArea:
    """One area of a witness process: its node and its Raft thread."""

    def __init__(
        self,
        settings: ProcessSettings,
        assignment: Assignment,
        router: PeerRouter,
        *,
        on_change: Callable[[], None],
        on_retired: Callable[[], None],
    ) -> None:
        """Joins the generation and starts the thread, in which both callbacks are called."""
        area = assignment.spec.area
        self.node = WitnessNode(
            settings.name,
            assignment,
            resources=FileGroupResources(area_folder(settings.data, area), settings, router),
            timing=settings.timing,
            on_term=on_change,
            on_retired=on_retired,
        )
        self._raft = RaftLoop(
            self.node,
            settings.timing.ping,
            thread_name=f"raft-{area}",
            failure="the witness's Raft thread failed",
            on_change=on_change,
        )
        self._raft.start()

    def stop(self) -> None:
        """Asks the thread to end, without a wait."""
        self._raft.stop()

    def close(self) -> None:
        """Ends the thread and leaves the area; its files stay."""
        self._raft.stop()
        self._raft.join()
        self.node.membership.close()


class WitnessProcess(ProcessShell[[]]):
    """A witness process with any number of areas. It is the `WitnessService` that the server package uses."""

    def __init__(self, settings: ProcessSettings) -> None:
        """Listens at the peer port and resumes the memberships that the data folder holds."""
        super().__init__(settings)
        self._areas: dict[str, WitnessArea] = {}
        self._resume()

    def status(self) -> WitnessStatus:
        """Returns a snapshot over all areas."""
        return WitnessStatus(
            replica=self.settings.name,
            started_at=self.started_at,
            pid=os.getpid(),
            peer=self.settings.peer_address,
            areas=tuple(self._group_status(name, area) for name, area in sorted(self._areas.items())),
            leaving=self._leaving,
        )

    def _group_status(self, name: str, area: WitnessArea) -> WitnessGroup:
        problem = self._router.secret_problem(name, area.node.membership.group.links)
        return msgspec.structs.replace(area.node.status(), problem=problem)

    def assign(self, assignment: Assignment) -> None:
        """Joins a generation of an area; idempotent; blocks.

        Raises:
            RefusedError: This process is not the witness of that generation, or a later generation is in force.
        """
        if assignment.witness.replica != self.settings.name:
            raise RefusedError(f"{self.settings.name} is not the witness of that generation")
        with self._moving:
            area = self._areas.get(assignment.spec.area)
            if area is None:
                self._start(assignment)
            elif assignment.has_members_of(area.node.membership.assignment):
                area.node.membership.readdress(assignment)
            elif assignment.generation < area.node.membership.assignment.generation:
                raise RefusedError(
                    f"generation {area.node.membership.assignment.generation} is in force,"
                    f" {assignment.generation} is over"
                )
        self._report_change()

    def release(self, area: str) -> None:
        """Leaves an area and deletes its files; idempotent; blocks."""
        self._remove(area)

    # --- ProcessShell

    def _start(self, assignment: Assignment) -> None:
        name = assignment.spec.area
        area = WitnessArea(
            self.settings,
            assignment,
            self._router,
            on_change=self._report_change,
            on_retired=lambda: self._retire(name),
        )
        self._areas = self._areas | {name: area}

    def _take_out(self, area: str) -> WitnessArea | None:
        gone = self._areas.get(area)
        self._areas = {name: kept for name, kept in self._areas.items() if name != area}
        return gone

    def _close_areas(self) -> None:
        areas = list(self._areas.values())
        for area in areas:
            area.stop()  # all at once: each takes a moment to end
        for area in areas:
            area.close()

    def _report_change(self) -> None:
        self._notify()
