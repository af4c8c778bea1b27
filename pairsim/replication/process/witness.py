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
from pairsim.replication.membership.membership import Member
from pairsim.replication.process.fatal import die
from pairsim.replication.process.group_resources import AreaSurface, Switchboard, area_folder, delete_area, remembered
from pairsim.replication.service import RefusedError
from pairsim.replication.transport.peer_port import PeerPort
from pairsim.settings import ProcessSettings

log = structlog.get_logger()

_JOIN = 5.0


class _Area:
    """The witness's part in one area: a member that is never capable. Raft thread, like the log's listener."""

    def __init__(self, settings: ProcessSettings, assignment: Assignment, board: Switchboard, witness: Witness) -> None:
        self.settings, self._witness = settings, witness
        self.log = TickLog(Authority(area=assignment.spec.area, epoch=1, bounds=assignment.spec.bounds))
        self.log.listener = self
        folder = area_folder(settings.data, assignment.spec.area)
        surface = AreaSurface(folder, settings, board, lambda newer: self.member.supersede(newer))  # noqa: PLW0108 - there is no member yet
        self.member = Member(
            settings.name,
            assignment,
            ticks=self.log,
            leadership=self,
            surface=surface,
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
                self.member.turn(self.settings.timing.ping)
                group = self.member.group
                now = (group.leader, group.voter, self.log.term, self.member.assignment.generation)
                if now != before:
                    before = now
                    self._witness.changed()
        except Exception as error:  # noqa: BLE001 - a witness that half works is worse than none
            die("the witness's Raft thread failed", error)

    def leave(self) -> None:
        """Tells its thread to end."""
        self._closed.set()
        self.member.wake()

    def close(self) -> None:
        """Leaves."""
        self.leave()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN)
        self.member.close()

    def status(self) -> WitnessGroup:
        """As the controller wants it."""
        group, assignment = self.member.group, self.member.assignment
        return WitnessGroup(
            area=assignment.spec.area,
            generation=assignment.generation,
            term=self.log.term,
            tick=self.log.tick,
            leader=group.leader if group.leader in group.links else None,
            members=tuple(m.replica for m in assignment.members()),
            votes=group.voter,
        )

    def can_simulate(self) -> bool:
        return False

    def on_leadership_gained(self, term: int, succession: Succession | None) -> None:
        raise AssertionError(f"the witness must not be active (term {term})")

    def on_leadership_lost(self) -> None:
        """It never was."""

    def on_open(self, term: int) -> None:
        self._witness.changed()

    def on_tick(self, record: Tick, payload: bytes) -> None:
        """The log has it."""

    def on_grant(self, authority: Authority) -> None:
        """The log has it."""

    def on_seal(self, seal: Seal) -> None:
        self.member.sealed(seal)


class Witness:
    """See the module; the `WitnessPort` that the network layer serves."""

    def __init__(self, settings: ProcessSettings) -> None:
        """Listens at the peer port and resumes the memberships that the data folder holds."""
        self.settings = settings
        self.started_at = time.time()
        self._board = Switchboard()
        self._lock = threading.Lock()
        self._moving = threading.Lock()
        self._areas: dict[str, _Area] = {}
        self._leaving = False
        self._listeners: list[Callable[[], None]] = []
        self._peer_port = PeerPort(settings.peer, settings.secret, settings.timing.connect_timeout, name=settings.name)
        self._peer_port.register("raft", self._board.raft)
        self._peer_port.register("sync", self._board.sync)
        for assignment in remembered(settings.data):
            self._areas[assignment.spec.area] = _Area(settings, assignment, self._board, self)

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
                self._areas = self._areas | {assignment.spec.area: _Area(self.settings, assignment, self._board, self)}
            elif assignment.generation < area.member.assignment.generation:
                raise RefusedError(
                    f"generation {area.member.assignment.generation} is in force, {assignment.generation} is over"
                )
        self.changed()

    def release(self, area: str) -> None:
        """See `WitnessPort`."""
        with self._moving:  # until its files are gone: they must not be those of a membership that follows
            gone = self._areas.get(area)
            self._areas = {name: x for name, x in self._areas.items() if name != area}
            if gone is not None:
                self._board.drop(area)
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
