"""A simulator process: a spare, or a replica of one area. The `ReplicaPort` that the network layer serves.

What a spare does not need (numpy, the simulator, Raft) is imported when it gets an area, so that a pool of warm
spares costs little.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import structlog

from pairsim.model.assignment import Assignment, Member
from pairsim.model.authority import Authority
from pairsim.model.commands import Command
from pairsim.model.status import ReplicaStatus, Role
from pairsim.replication.measurements import Meters
from pairsim.replication.process.group_resources import Switchboard, delete_area, remembered
from pairsim.replication.service import (
    Done,
    NoStateError,
    NotActiveError,
    Published,
    RefusedError,
    Switchover,
)
from pairsim.replication.transport.peer_port import PeerPort
from pairsim.settings import ProcessSettings

if TYPE_CHECKING:
    from pairsim.model.command_schema import CommandSchema
    from pairsim.model.state.table import Table
    from pairsim.replication.process.area_runtime import Runtime

log = structlog.get_logger()

T = TypeVar("T")


class Host:
    """See the module."""

    def __init__(self, settings: ProcessSettings) -> None:
        """Listens at the peer port and resumes the membership that the data folder holds, if any."""
        self.settings = settings
        self.started_at = time.time()
        self._board = Switchboard()
        self._lock = threading.Lock()
        self._moving = threading.Lock()
        self._runtime: Runtime | None = None
        self._leaving = False
        self._listeners: list[Callable[[Published | None], None]] = []
        self._peer_port = PeerPort(settings.peer, settings.secret, settings.timing.connect_timeout, name=settings.name)
        self._peer_port.register("raft", self._board.raft)
        self._peer_port.register("sync", self._board.sync)
        for assignment in remembered(settings.data)[:1]:
            self._start(assignment)

    # --- ReplicaPort

    def status(self) -> ReplicaStatus:
        """See `ReplicaPort`."""
        runtime = self._runtime
        if runtime is None:
            return self._spare_status()
        replica, assignment = runtime.replica, runtime.member.assignment
        state, ticks, pace = replica.state, runtime.log, replica.pace
        capable = replica.capable() and runtime.member.group.voter
        active, term = replica.active, ticks.term
        # One that wakes from a stall reads the next term in the log before it notices that it does not lead any more.
        leading = active is not None and active.term >= term
        leader = runtime.leader()
        return ReplicaStatus(
            plane=runtime.spec.plane,
            area=runtime.spec.area,
            replica=self.settings.name,
            role=Role.ACTIVE if leading else Role.PASSIVE if capable else Role.JOINING,
            generation=assignment.generation,
            term=term,
            epoch=ticks.authority.epoch,
            tick=ticks.tick,
            synced_tick=min(state.tick, ticks.tick) if state.trusted else 0,
            digest=next(iter(state.digests(state.tick, state.tick).values()), ""),
            entities=len(state.table),
            leader=leader.replica if leader else None,
            members=tuple(m.replica for m in assignment.members()),
            in_sync=capable,
            peer_in_sync=runtime.peer_in_sync(),
            started_at=self.started_at,
            pid=os.getpid(),
            peer=self.settings.peer_address,
            divergences=state.divergences,
            leaving=self._leaving,
            succession=replica.succession if leading else None,
            pace=round(pace.share, 2),
            tick_ms=round(pace.tick_ms, 1),
        )

    def command_schema(self) -> CommandSchema | None:
        """See `ReplicaPort`."""
        runtime = self._runtime
        return runtime.command_schema if runtime else None

    def meters(self) -> Meters | None:
        """See `ReplicaPort`."""
        runtime = self._runtime
        return runtime.measured() if runtime else None

    def leader(self) -> Member | None:
        """See `ReplicaPort`."""
        runtime = self._runtime
        return runtime.leader() if runtime else None

    def submit(self, commands: Sequence[Command], done: Done) -> None:
        """See `ReplicaPort`."""
        runtime = self._runtime
        if runtime is None or runtime.replica.active is None:
            raise NotActiveError(runtime.leader() if runtime else None)
        runtime.inbox.put(commands, done)
        if runtime.replica.active is None:
            runtime.inbox.interrupt()  # it ceased to be the active meanwhile

    def read(self, query: Callable[[Table, Published], T], timeout: float) -> T:
        """See `ReplicaPort`."""
        runtime = self._runtime
        if runtime is None:
            raise NoStateError("this process is a spare: it has no area")
        return runtime.replica.state.read(query, runtime.log, timeout)

    def digests(self, first: int, last: int) -> dict[int, str]:
        """See `ReplicaPort`."""
        runtime = self._runtime
        if runtime is None:
            return {}
        return runtime.replica.state.digests(first, min(last, runtime.log.tick))

    def watch(self, listener: Callable[[Published | None], None]) -> Callable[[], None]:
        """See `ReplicaPort`."""
        with self._lock:
            self._listeners = [*self._listeners, listener]

        def end() -> None:
            with self._lock:
                self._listeners = [x for x in self._listeners if x is not listener]

        return end

    def assign(self, assignment: Assignment) -> None:
        """See `ReplicaPort`."""
        if assignment.member(self.settings.name) is None:
            raise RefusedError(f"{self.settings.name} is no member of that generation")
        if assignment.witness.replica == self.settings.name:
            raise RefusedError("a simulator process cannot be the witness")
        runtime = self._runtime
        if runtime is None:
            self._start(assignment)
            return
        current = runtime.member.assignment
        if assignment.spec.area != current.spec.area:
            raise RefusedError(f"this process simulates {current.spec.area}: release that area first")
        if assignment == current:
            return
        if assignment.generation <= current.generation:
            raise RefusedError(f"generation {current.generation} is in force, {assignment.generation} is over")
        if assignment.generation == current.generation + 1:
            runtime.advance_to(assignment)

    def release(self, area: str) -> None:
        """See `ReplicaPort`."""
        runtime = self._runtime
        if runtime is not None and runtime.spec.area == area:
            self._stop()

    def leave(self) -> None:
        """See `ReplicaPort`."""
        self._leaving = True
        self._tell(None)

    def authorise(self, authority: Authority, timeout: float) -> None:
        """See `ReplicaPort`."""
        runtime = self._runtime
        if runtime is None:
            raise NotActiveError(None)
        if authority.area != runtime.spec.area:
            raise RefusedError(f"this process simulates {runtime.spec.area}, not {authority.area}")
        runtime.authorise(authority, timeout)

    def switchover(self, timeout: float) -> Switchover:
        """See `ReplicaPort`."""
        runtime = self._runtime
        if runtime is None:
            raise NotActiveError(None)
        return runtime.switchover(timeout)

    def close(self) -> None:
        """Ends the process's part in its area; its files stay."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.close()
        self._peer_port.close()

    # --- areas come and go

    def _start(self, assignment: Assignment) -> None:
        from pairsim.replication.process.area_runtime import Runtime  # noqa: PLC0415 - a spare must stay small

        with self._moving:
            if self._runtime is not None:
                raise RefusedError("this process got another area just now")
            runtime = Runtime(
                self.settings,
                assignment,
                self._board,
                on_change=lambda: self._tell(None),
                on_retired=lambda: threading.Thread(target=self._stop, name="retire", daemon=True).start(),
            )
            runtime.replica.on_publish = self._tell
            runtime.replica.on_takeover = self._taken_over
            self._runtime = runtime
        gc.collect()
        gc.freeze()  # what an area loads lives as long as the process: no collection need look at it again
        self._tell(None)

    def _stop(self) -> None:
        with self._moving:  # until its files are gone: they must not be those of a membership that follows
            runtime, self._runtime = self._runtime, None
            if runtime is None:
                return
            runtime.close()
            delete_area(self.settings.data, runtime.spec.area)
        log.info("is a spare again", replica=self.settings.name, area=runtime.spec.area)
        self._tell(None)

    def _taken_over(self, *, term: int, tick: int, replayed: int) -> None:
        runtime = self._runtime
        why = runtime.replica.succession if runtime is not None else None
        log.info("active", replica=self.settings.name, term=term, tick=tick, replayed=replayed, before=why)
        self._tell(None)

    def _tell(self, published: Published | None) -> None:
        for listener in self._listeners:
            listener(published)

    def _spare_status(self) -> ReplicaStatus:
        return ReplicaStatus(
            plane="",
            area="",
            replica=self.settings.name,
            role=Role.SPARE,
            generation=0,
            term=0,
            epoch=0,
            tick=0,
            synced_tick=0,
            digest="",
            entities=0,
            leader=None,
            members=(),
            in_sync=False,
            peer_in_sync=False,
            started_at=self.started_at,
            pid=os.getpid(),
            peer=self.settings.peer_address,
            leaving=self._leaving,
        )
