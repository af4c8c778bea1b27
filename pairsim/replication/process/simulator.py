"""A simulator process: a spare, or a replica of one area. It is the `ReplicaService` that the server package uses.

What a spare does not need (numpy, the simulator, Raft) is imported when the process gets an area, so that a pool of
warm spares costs little.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from pairsim.model.assignment import Assignment, Member
from pairsim.model.authority import Authority
from pairsim.model.commands import Command
from pairsim.model.status import ReplicaStatus
from pairsim.replication.clock import monotonic
from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.process.preparation import Preparation
from pairsim.replication.process.shell import ProcessShell
from pairsim.replication.process.status import replica_status, spare_status
from pairsim.replication.service import (
    BatchCallback,
    CommittedArea,
    FailingTick,
    NoStateError,
    NotActiveError,
    OrderResult,
    Published,
    RefusedError,
    SwitchoverResult,
)
from pairsim.settings import ProcessSettings

if TYPE_CHECKING:
    from pairsim.engine.host.launcher import EngineLauncher
    from pairsim.model.command_schema import CommandSchema
    from pairsim.model.state.table import TableView
    from pairsim.replication.process.area_runtime import AreaRuntime
    from pairsim.replication.process.engines import EngineStarter

T = TypeVar("T")


class SimulatorProcess(ProcessShell[[Published | None]]):
    """A simulator process with at most one area."""

    def __init__(
        self, settings: ProcessSettings, launcher: EngineLauncher | None, start_engine: EngineStarter | None = None
    ) -> None:
        """Listens at the peer port and resumes the membership that the data folder holds, if any.

        Args:
            settings: The settings of the process.
            launcher: The engine that is started before the process has loaded what an area needs.
            start_engine: Starts the engine of an area; without it, as a process.
        """
        super().__init__(settings)
        self._launcher, self._start_engine = launcher, start_engine
        self._warm_engine = False
        self._runtime: AreaRuntime | None = None
        self._preparation = Preparation(self._report_change)
        self._resume(at_most=1)
        self._keep_warm_engine()

    # --- ReplicaService

    def status(self) -> ReplicaStatus:
        """Returns a snapshot of the status; cheap enough for every request."""
        runtime = self._runtime
        if runtime is None:
            return spare_status(
                self.settings,
                started_at=self.started_at,
                leaving=self._leaving,
                engine_pid=self._launcher.pid if self._launcher is not None else None,
                simulator=self._preparation.state(monotonic()),
            )
        node = runtime.node
        return replica_status(
            node,
            self.settings,
            started_at=self.started_at,
            leaving=self._leaving,
            secret_problem=self._router.secret_problem(node.spec.area, node.membership.group.links),
            engine_pid=runtime.engine_pid,
        )

    def command_schema(self) -> CommandSchema | None:
        """Returns which commands and components are valid here; None for a spare."""
        runtime = self._runtime
        return runtime.node.replica.command_schema if runtime else None

    def measurements(self) -> ReplicaMeasurements | None:
        """Returns the measurements of this replica; None for a spare."""
        runtime = self._runtime
        return runtime.node.measure() if runtime else None

    def leader(self) -> Member | None:
        """Returns the active as this replica knows it; None for a spare."""
        runtime = self._runtime
        return runtime.node.leader() if runtime else None

    def other_replica(self) -> Member | None:
        """Returns the other replica of this replica's pair; None for a spare."""
        runtime = self._runtime
        replicas = runtime.node.membership.assignment.replicas if runtime else ()
        return next((member for member in replicas if member.replica != self.settings.name), None)

    def submit(self, commands: Sequence[Command], done: BatchCallback) -> None:
        """Puts validated commands into the inbox, all or none; `done` takes the answer.

        Raises:
            NotActiveError: This replica is not the active.
            InboxFullError: The batch does not fit now.
            MemoryFullError: The memory does not suffice for the entities that the batch spawns.
            BatchTooLargeError: The batch does not fit into any tick.
        """
        runtime = self._runtime
        if runtime is None or runtime.node.replica.active is None:
            raise NotActiveError(runtime.node.leader() if runtime else None)
        node = runtime.node
        runtime.memory_guard.check(commands, node.replica.state.table, node.inbox.waiting)
        node.inbox.put(commands, done)
        if node.replica.active is None:
            node.inbox.interrupt()  # this replica ceased to be the active meanwhile

    def read(self, query: Callable[[TableView, Published], T], timeout: float) -> T:
        """Runs a query on the state at a committed tick and returns its result; blocks at most `timeout` seconds.

        Raises:
            NoStateError: This process holds no valid state.
            TimeoutError: The state was not readable in time.
        """
        return self.read_area(lambda area: query(area.table, area.published), timeout)

    def read_area(self, query: Callable[[CommittedArea], T], timeout: float) -> T:
        """Runs a query on the entities and the borders at a committed tick; blocks at most `timeout` seconds.

        Raises:
            NoStateError, TimeoutError: As for `read`.
        """
        runtime = self._runtime
        if runtime is None:
            raise NoStateError(self.status().without_area)
        return runtime.node.replica.state.read(query, runtime.node.log, timeout)

    def digests(self, first: int, last: int) -> dict[int, str]:
        """Returns the digests (16 hex digits) of the recent committed ticks in [first, last] by tick."""
        runtime = self._runtime
        if runtime is None:
            return {}
        return runtime.node.replica.state.digests(first, min(last, runtime.node.log.tick))

    def assign(self, assignment: Assignment) -> None:
        """Makes this process a member of a generation; idempotent; blocks.

        As the active of the generation before, the process opens the next generation instead.

        Raises:
            RefusedError: The assignment contradicts what this process knows.
        """
        if assignment.member(self.settings.name) is None:
            raise RefusedError(f"{self.settings.name} is not a member of that generation")
        if assignment.witness.replica == self.settings.name:
            raise RefusedError("a simulator process cannot be the witness")
        runtime = self._runtime
        if runtime is None:
            self._start(assignment)
            return
        current = runtime.node.membership.assignment
        if assignment.spec.area != current.spec.area:
            raise RefusedError(f"this process simulates {current.spec.area}: release that area first")
        if assignment.has_members_of(current):
            runtime.node.membership.readdress(assignment)
            return
        if changed := assignment.spec.changed_fields(current.spec):
            raise RefusedError(
                f"this process simulates {current.spec.area} with other values of: {', '.join(changed)}. These cannot"
                " change: release that area first"
            )
        if assignment.generation <= current.generation:
            raise RefusedError(f"generation {current.generation} is in force, {assignment.generation} is over")
        if assignment.generation == current.generation + 1:
            runtime.node.advance_to(assignment)

    def release(self, area: str) -> None:
        """Leaves the area and deletes its files, so that the process is a spare again; idempotent; blocks."""
        runtime = self._runtime
        if runtime is not None and runtime.node.spec.area == area:
            self._remove(area)

    def authority(self) -> Authority:
        """Returns what the area knows of the map of its plane.

        Raises:
            NoStateError: This process is a spare.
        """
        runtime = self._runtime
        if runtime is None:
            raise NoStateError(self.status().without_area)
        return runtime.node.replica.state.authority(runtime.node.log.tick)

    def authorise(self, authority: Authority, timeout: float) -> None:
        """Commits an authority grant; blocks at most `timeout` seconds.

        Raises:
            NotActiveError: This replica is not the active.
            RefusedError: The grant is for another area, or the area knows a higher version of the map.
            TimeoutError: The grant was not committed in time.
        """
        runtime = self._runtime
        if runtime is None:
            raise NotActiveError(None)
        if authority.area != runtime.node.spec.area:
            raise RefusedError(f"this process simulates {runtime.node.spec.area}, not {authority.area}")
        runtime.authorise(authority, timeout)

    def switchover(self, timeout: float) -> SwitchoverResult:
        """Hands the leadership to the passive; blocks.

        Raises:
            NotActiveError: This replica is not the active.
            RefusedError: Another handover is under way, or the passive is not in sync.
            TimeoutError: The passive did not take over within `timeout` seconds.
        """
        runtime = self._runtime
        if runtime is None:
            raise NotActiveError(None)
        return runtime.switch_over(timeout)

    def skip(self, command: str, timeout: float) -> OrderResult:
        """Leaves a command out of the tick that fails on both replicas; blocks.

        Raises:
            NotActiveError: This replica does not lead.
            RefusedError: The order cannot be accepted; the text says why.
            TimeoutError: It is not known whether the order came into force.
        """
        runtime = self._runtime
        if runtime is None:
            raise NotActiveError(None)
        return runtime.order(command, timeout)

    def failing_tick(self) -> FailingTick:
        """Returns the tick before which the area is paused.

        Raises:
            NotActiveError: This replica does not lead.
            RefusedError: The area is not paused.
        """
        runtime = self._runtime
        if runtime is None:
            raise NotActiveError(None)
        return runtime.node.failing_tick()

    def restart_engines(self, timeout: float, *, even_if_seen: bool) -> OrderResult:
        """Starts the engines of a paused area again, with the newest code; blocks.

        Raises:
            NotActiveError: This replica does not lead.
            RefusedError: The order cannot be accepted; the text says why.
            TimeoutError: The engine has not started in time, or it is not known whether the order came into force.
        """
        runtime = self._runtime
        if runtime is None:
            raise NotActiveError(None)
        return runtime.order(None, timeout, even_if_seen=even_if_seen)

    def keep_warm_engine(self, *, keep: bool) -> None:
        """Keeps an engine ready whenever this process is a spare, or none; idempotent; blocks."""
        with self._moving:
            self._warm_engine = keep
            self._keep_warm_engine()
        self._report_change()

    # --- ProcessShell

    def _start(self, assignment: Assignment) -> None:
        with self._moving:
            if self._runtime is not None:
                raise RefusedError("this process got another area just now")
            try:
                with self._preparation.of(assignment.spec.area):
                    self._runtime = self._make_runtime(assignment)
            finally:
                self._keep_warm_engine()
        gc.collect()
        gc.freeze()  # what an area loads lives as long as the process: no collection need look at it again
        self._report_change()

    def _make_runtime(self, assignment: Assignment) -> AreaRuntime:
        launched = self._launcher.take(assignment.spec) if self._launcher is not None else None
        # The engine loads its simulator from now on. What follows is loaded here, since a spare must stay small.
        from pairsim.replication.process.area_runtime import AreaRuntime  # noqa: PLC0415
        from pairsim.replication.process.engines import EngineProcessStarter  # noqa: PLC0415

        with contextlib.closing(EngineProcessStarter(launched)) as starter:
            return AreaRuntime(
                self.settings,
                assignment,
                self._router,
                on_change=self._notify,
                on_retired=lambda: self._retire(assignment.spec.area),
                start_engine=self._start_engine or starter,
            )

    def _remove(self, area: str) -> None:
        super()._remove(area)
        with self._moving:
            self._keep_warm_engine()

    def _keep_warm_engine(self) -> None:
        """Lets a spare keep a warm engine, or none, as it was asked to. Under `_moving`, or before any request."""
        if self._launcher is None or self._runtime is not None:
            return
        if self._warm_engine:
            self._launcher.keep()
        else:
            self._launcher.drop()

    def _take_out(self, area: str) -> AreaRuntime | None:
        runtime = self._runtime
        if runtime is None or runtime.node.spec.area != area:
            return None
        self._runtime = None
        return runtime

    def _close_areas(self) -> None:
        self._warm_engine = False
        if self._launcher is not None:
            self._launcher.drop()
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.close()

    def _report_change(self) -> None:
        self._notify(None)
