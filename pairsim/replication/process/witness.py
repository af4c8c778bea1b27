"""A witness process: the third vote of many areas. It holds their logs and never simulates."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import structlog

from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.model.status import Succession, WitnessGroup, WitnessStatus
from pairsim.replication.log.records import Seal, Tick
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.membership.membership import Membership
from pairsim.replication.process.fatal import exit_process
from pairsim.replication.process.group_resources import (
    FileGroupResources,
    PeerRouter,
    area_folder,
    delete_area,
    saved_assignments,
)
from pairsim.replication.service import RefusedError
from pairsim.replication.transport.peer_port import PeerPort
from pairsim.settings import ProcessSettings

log = structlog.get_logger()

_JOIN = 5.0


class WitnessArea:
    """The witness's part in one area: a member that is never capable. Raft thread, like the log's listener."""

    def __init__(
        self, settings: ProcessSettings, assignment: Assignment, router: PeerRouter, witness: WitnessProcess
    ) -> None:
        self.settings, self._witness = settings, witness
        self.log = TickLog(Authority(area=assignment.spec.area, epoch=1, bounds=assignment.spec.bounds))
        self.log.listener = self
        folder = area_folder(settings.data, assignment.spec.area)
        resources = FileGroupResources(folder, settings, router, lambda newer: self.membership.on_superseded(newer))  # noqa: PLW0108 - there is no member yet
        self.membership = Membership(
            settings.name,
            assignment,
            ticks=self.log,
            leadership=self,
            resources=resources,
            timing=settings.timing,
            on_retired=lambda: witness.retire(assignment.spec.area),
        )
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"raft-{assignment.spec.area}", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        before: tuple[object, ...] = ()
        try:
            while not self._closed.is_set():
                self.membership.turn(self.settings.timing.ping)
                group = self.membership.group
                now = (group.leader, group.voter, self.log.term, self.membership.assignment.generation)
                if now != before:
                    before = now
                    self._witness.changed()
        except Exception as error:  # noqa: BLE001 - a witness that half works is worse than none
            exit_process("the witness's Raft thread failed", error)

    def leave(self) -> None:
        """Tells its thread to end."""
        self._closed.set()
        self.membership.wake()

    def close(self) -> None:
        """Leaves."""
        self.leave()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN)
        self.membership.close()

    def status(self) -> WitnessGroup:
        """As the controller wants it."""
        group, assignment = self.membership.group, self.membership.assignment
        return WitnessGroup(
            area=assignment.spec.area,
            generation=assignment.generation,
            term=self.log.term,
            tick=self.log.tick,
            leader=group.leader if group.leader in group.links else None,
            members=tuple(m.replica for m in assignment.members()),
            votes=group.voter,
        )

    def capable(self) -> bool:
        """Returns False: a witness never simulates."""
        return False

    def opened(self, term: int, succession: Succession | None) -> None:
        """Raises `AssertionError`: the group must not make a witness the active."""
        raise AssertionError(f"the witness must not be active (term {term})")

    def closed(self) -> None:
        """Does nothing: a witness never led."""

    def on_open(self, term: int) -> None:
        """Reports the new term."""
        self._witness.changed()

    def on_tick(self, record: Tick, payload: bytes) -> None:
        """Does nothing: the log holds the record."""

    def on_grant(self, authority: Authority) -> None:
        """Does nothing: the log holds the record."""

    def on_seal(self, seal: Seal) -> None:
        """Passes the seal to the membership."""
        self.membership.on_sealed(seal)


class WitnessProcess:
    """See the module; the `WitnessPort` that the network layer serves."""

    def __init__(self, settings: ProcessSettings) -> None:
        """Listens at the peer port and resumes the memberships that the data folder holds."""
        self.settings = settings
        self.started_at = time.time()
        self._router = PeerRouter()
        self._lock = threading.Lock()
        self._moving = threading.Lock()
        self._areas: dict[str, WitnessArea] = {}
        self._leaving = False
        self._listeners: list[Callable[[], None]] = []
        self._peer_port = PeerPort(settings.peer, settings.secret, settings.timing.connect_timeout, name=settings.name)
        self._peer_port.register("raft", self._router.accept_raft)
        self._peer_port.register("sync", self._router.accept_stream)
        for assignment in saved_assignments(settings.data):
            self._areas[assignment.spec.area] = WitnessArea(settings, assignment, self._router, self)

    def status(self) -> WitnessStatus:
        """See `WitnessPort`."""
        return WitnessStatus(
            replica=self.settings.name,
            started_at=self.started_at,
            pid=os.getpid(),
            peer=self.settings.peer_address,
            areas=tuple(area.status() for _name, area in sorted(self._areas.items())),
            leaving=self._leaving,
        )

    def watch(self, listener: Callable[[], None]) -> Callable[[], None]:
        """See `WitnessPort`."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

        def end() -> None:
            with self._lock:
                self._listeners = [x for x in self._listeners if x is not listener]

        return end

    def assign(self, assignment: Assignment) -> None:
        """See `WitnessPort`."""
        if assignment.witness.replica != self.settings.name:
            raise RefusedError(f"{self.settings.name} is not the witness of that generation")
        with self._moving:
            area = self._areas.get(assignment.spec.area)
            if area is None:
                self._areas = self._areas | {
                    assignment.spec.area: WitnessArea(self.settings, assignment, self._router, self)
                }
            elif assignment.generation < area.membership.assignment.generation:
                raise RefusedError(
                    f"generation {area.membership.assignment.generation} is in force, {assignment.generation} is over"
                )
        self.changed()

    def release(self, area: str) -> None:
        """See `WitnessPort`."""
        with self._moving:  # until its files are gone: they must not be those of a membership that follows
            gone = self._areas.get(area)
            self._areas = {name: x for name, x in self._areas.items() if name != area}
            if gone is not None:
                self._router.drop(area)
                gone.close()
                delete_area(self.settings.data, area)
        if gone is not None:
            self.changed()

    def leave(self) -> None:
        """See `WitnessPort`."""
        self._leaving = True
        self.changed()

    def retire(self, area: str) -> None:
        """The area goes on with another witness."""
        threading.Thread(target=self.release, args=(area,), name="retire", daemon=True).start()

    def changed(self) -> None:
        """Tells the listeners."""
        for listener in self._listeners:
            listener()

    def close(self) -> None:
        """Ends the process's part in its areas; its files stay."""
        areas = list(self._areas.values())
        for area in areas:
            area.leave()  # all at once: each takes a moment to hear it
        for area in areas:
            area.close()
        self._peer_port.close()
