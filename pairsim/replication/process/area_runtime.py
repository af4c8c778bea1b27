"""The threads of one area in a simulator process.

The *Raft thread* turns the node's group, the *replica thread* ticks or follows, and the *stream thread* receives the
active's state; a thread for each subscriber sends the own state. The active has threads for the links to other areas
(`AreaLinks`). Everything that they do is in `AreaNode`.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from pairsim.engine.port import Engine, EngineError
from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.model.simulation.interface import SimulatorInterface, interface_of
from pairsim.model.state.memory_need import area_refusal, row_bytes
from pairsim.model.state.schema import Schema
from pairsim.replication.checkpoint.schema_file import stored_interface, verify_schema, write_interface
from pairsim.replication.checkpoint.store import CheckpointStore
from pairsim.replication.clock import monotonic
from pairsim.replication.links.area_links import AreaLinks
from pairsim.replication.process.engines import AreaEngine, EngineStarter
from pairsim.replication.process.fatal import exit_process
from pairsim.replication.process.group_resources import FileGroupResources, PeerRouter, area_folder
from pairsim.replication.process.memory_guard import MemoryGuard
from pairsim.replication.process.raft_loop import JOIN_SECONDS, RaftLoop
from pairsim.replication.replica.handover_request import HandoverOutcome
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.replica.ports import Capacity
from pairsim.replication.service import NotActiveError, OrderResult, Published, SimulatorError, SwitchoverResult
from pairsim.replication.sync.interface import answer_interface, ask_interface
from pairsim.replication.sync.stream import StreamClient, serve_stream
from pairsim.replication.transport.channel import ChannelError
from pairsim.replication.transport.key_exchange import Hello
from pairsim.replication.waiting import Wakeup, join, sleep
from pairsim.settings import ProcessSettings
from pairsim.system.memory import read_memory
from pairsim.wording import duration

log = structlog.get_logger()

_COMMIT_SECONDS = 0.5
_POLL_SECONDS = 0.001
_CALL_SECONDS = 1.0
"""How long a closing area waits for a call of its simulator."""

_ABANDON_SECONDS = 1.0
"""The time beyond a switchover's deadline in which the replica thread says that it failed."""


class AreaRuntime:
    """The threads of one area. It is the node's `NodeListener`.

    Attributes:
        node: The replica and its membership.
        memory_guard: The check of spawns; for one thread.
    """

    def __init__(
        self,
        settings: ProcessSettings,
        assignment: Assignment,
        router: PeerRouter,
        *,
        on_change: Callable[[Published | None], None],
        on_retired: Callable[[], None],
        start_engine: EngineStarter,
    ) -> None:
        """Prepares the simulator (which may take seconds), then joins the generation and starts the threads.

        Args:
            settings: The settings of the process.
            assignment: The generation.
            router: The routes of the peer port.
            on_change: Takes each tick that may be seen, and None on a change of status; called in several threads.
            on_retired: Called when the area continues without this process.
            start_engine: Starts the area's engine.

        Raises:
            SimulatorError: The simulator cannot simulate this area, or cannot continue its files. No generation was
                joined.
            OSError: A file cannot be written. Nothing is left open, so that another attempt may succeed.
        """
        spec = assignment.spec
        self._settings, self._router = settings, router
        self._on_change, self._on_retired = on_change, on_retired
        self._awake, self._closed = Wakeup(), threading.Event()
        self.memory_guard, self._room = MemoryGuard(), MemoryGuard()
        folder = area_folder(settings.data, spec.area)
        resources = FileGroupResources(folder, settings, router)
        _check_definition(spec, resources.saved_generation(assignment.generation), folder)
        with _as_simulator_error(spec):
            self._engine = AreaEngine(
                spec, settings.data, start_engine, lambda: self._find_interface(assignment, resources)
            )
            try:
                self.node = self._make_node(assignment, resources, folder)
            except BaseException:
                self._engine.close()
                raise
        replica = self.node.replica
        self._stream = StreamClient(
            replica.follower,
            me=settings.name,
            area=spec.area,
            secrets=settings.secrets,
            mismatches=router.mismatches,
            timing=settings.timing,
            source=self.node.stream_source,
            wake=self.node.wake_replica,
        )
        router.set_stream(spec.area, lambda link, hello: serve_stream(link, hello, replica.publisher))
        router.set_interface(spec.area, lambda link: answer_interface(link, interface_of(self._engine.current)))
        self._links = AreaLinks(
            spec.area, replica.links, replica.state.table.schema,
            me=settings.name, secrets=settings.secrets, timing=settings.timing,
        )  # fmt: skip
        router.set_links(spec.area, lambda: self._links.active, self._links.serve)
        self._raft = RaftLoop(
            self.node,
            settings.timing.ping,
            thread_name="raft",
            failure="the Raft thread failed",
            on_change=lambda: on_change(None),
        )
        self._replica_thread = threading.Thread(target=self._run_replica, name="replica", daemon=True)
        self._engine.report_to(replica, lambda: on_change(None))
        self._raft.start()
        self._replica_thread.start()

    def _make_node(self, assignment: Assignment, resources: FileGroupResources, folder: Path) -> AreaNode:
        """Joins the generation with the state that the folder holds."""
        spec, settings, engine = assignment.spec, self._settings, self._engine.current
        verify_schema(folder, spec, engine.components)
        if assignment.generation == 1 and not resources.has_journal(1):
            _check_memory(spec, engine.components)
        self._checkpoints = CheckpointStore(folder, spec.area, engine.components, settings.checkpoint_seconds)
        node = AreaNode(
            settings.name,
            assignment,
            engine=engine,
            resources=resources,
            checkpoints=self._checkpoints,
            capacity=Capacity(settings.inbox_commands, lambda: self._room.most_entities(self.node.replica.state.table)),
            timing=settings.timing,
            listener=self,
        )
        try:
            write_interface(folder, interface_of(engine))  # before a thread runs, so before the first vote and state
        except BaseException:
            self._router.drop(spec.area)
            node.membership.close()  # an open journal would keep this process itself from another attempt
            raise
        return node

    def _find_interface(self, assignment: Assignment, resources: FileGroupResources) -> SimulatorInterface | None:
        """Returns the interface of the simulator from the folder of the area, or from the other replica.

        A replica that has to create the first state of its area cannot do without an engine.
        """
        resumes = resources.has_journal(assignment.generation)
        if resumes and (stored := stored_interface(resources.folder)) is not None:
            return stored
        if assignment.generation == 1 and not resumes:
            return None
        settings, area = self._settings, assignment.spec.area
        other = next(member for member in assignment.replicas if member.replica != settings.name)
        hello = Hello(
            kind="interface", area=area, generation=assignment.generation, sender=settings.name, receiver=other.replica
        )
        try:
            return ask_interface(other.peer, settings.secrets, hello, settings.timing.connect_timeout)
        except (OSError, ChannelError) as error:
            log.warning("nothing is known of the simulator", area=area, asked=other.replica, reason=str(error))
            return None

    def _run_replica(self) -> None:
        replica = self.node.replica
        try:
            while not self._closed.is_set():
                due = replica.run_once(monotonic())
                self._awake.wait(max(0.0, due - monotonic()))
                self._awake.clear()
        except BaseException as error:  # noqa: BLE001 - also SystemExit: half a replica is worse than none
            call = replica.calls.current
            exit_process("the replica thread failed", error, during=call.phrase if call else "")

    def close(self) -> None:
        """Leaves the area and ends the threads; the files stay, with a checkpoint of the newest committed state.

        So a restart computes no tick again that clients may have seen, whatever became of the simulator meanwhile.

        A replica thread that hangs cannot be ended. The process ends with it: otherwise it would become a spare that
        holds the table of an area which continues without it, and a lock for which its thread waits.
        """
        self._closed.set()
        self._awake.set()
        if self._replica_thread is not threading.current_thread():
            join(self._replica_thread, _CALL_SECONDS)
        self._wait_for_commit()
        self._router.drop(self.node.spec.area)
        self._raft.stop()
        self._raft.join()
        newest = self.node.replica.newest_committed()
        if newest is not None and not self._replica_thread.is_alive():  # else the engine may be writing to the table
            self._checkpoints.close()
            self.node.replica.checkpoint(newest, math.inf)
        self._engine.close()  # a call that is still under way fails now
        if self._replica_thread is not threading.current_thread():
            join(self._replica_thread, JOIN_SECONDS)
            if self._replica_thread.is_alive():
                hung = TimeoutError(f"it has not ended within {duration(JOIN_SECONDS)}")
                exit_process(f"the replica thread of {self.node.spec.area} hangs", hung)
        self.node.membership.close()
        self._links.close()
        self._stream.close()
        self._checkpoints.close()

    def _wait_for_commit(self) -> None:
        """Waits until the state is committed: that of a passive, which has no other, is ahead of the commit."""
        end = monotonic() + _COMMIT_SECONDS
        while self.node.replica.newest_committed() is None and monotonic() < end:
            sleep(_POLL_SECONDS)

    @property
    def engine_pid(self) -> int | None:
        """The process id of the area's engine; None while it has none."""
        return self._engine.pid

    # --- NodeListener

    def on_engine_failed(self) -> None:
        """Ends the engine and starts another one, in a thread of its own."""
        self._engine.restart()

    def on_engine_wanted(self) -> None:
        """Starts another engine beside the one in use, in a thread of its own."""
        self._engine.prepare()

    def on_engine_replaced(self, old: Engine, new: Engine) -> None:
        """Ends an engine whose place another one has taken."""
        self._engine.replace(old, new)

    def on_engine_unused(self, engine: Engine) -> None:
        """Ends an engine that was started and is not used."""
        self._engine.drop(engine)

    def wake(self) -> None:
        """Ends the pause of the replica thread."""
        self._awake.set()

    def on_publish(self, published: Published | None) -> None:
        """Reports a tick that may be seen, or a change of status."""
        self._on_change(published)

    def on_takeover(self, *, term: int, tick: int, replayed: int) -> None:
        """Logs and reports that this replica became active."""
        succession = self.node.replica.succession
        reason = succession.value if succession is not None else None
        log.info(
            "became active", replica=self._settings.name, term=term, tick=tick, replayed=replayed, succession=reason
        )
        self._on_change(None)

    def on_retired(self) -> None:
        """Reports that the area continues without this process."""
        self._on_retired()

    # --- requests that block

    def switch_over(self, timeout: float) -> SwitchoverResult:
        """Hands the leadership over to the passive; blocks.

        Raises:
            NotActiveError: This replica is not the active.
            RefusedError: Another handover is under way, or the passive is not in sync.
            TimeoutError: The passive did not take over within `timeout` seconds.
        """
        request = self.node.request_switchover(monotonic() + timeout)
        request.finished.wait(timeout + _ABANDON_SECONDS)
        if request.outcome is not HandoverOutcome.DONE:
            raise TimeoutError(f"the passive {request.peer} did not take over in time; this replica goes on")
        return self.node.replica.active_gap.wait(request.term, timeout)

    def order(self, command: str | None, timeout: float, *, even_if_seen: bool = False) -> OrderResult:
        """Leaves a command out of the tick that fails, or without one replaces the engines; blocks.

        Raises:
            NotActiveError: This replica does not lead.
            RefusedError: The order cannot be accepted; the text says why.
            TimeoutError: It is not known whether the order came into force within `timeout` seconds.
        """
        request = self.node.request_order(command, even_if_seen=even_if_seen)
        request.finished.wait(timeout)
        if request.outcome is None and request.restarted:
            raise TimeoutError(
                f"the engine has not started within {timeout:.0f} s: the order is carried out when it has"
            )
        if request.outcome is None:
            request.withdrawn = True
            raise TimeoutError("the order was not committed in time: look whether it is in force, and try again")
        if isinstance(request.outcome, Exception):
            raise request.outcome
        return request.outcome

    def authorise(self, authority: Authority, timeout: float) -> None:
        """Commits an authority grant; blocks.

        Raises:
            NotActiveError: This replica is not the active, or not any more.
            RefusedError: The area knows a higher version, or other cells of the same one.
            TimeoutError: The grant was not committed within `timeout` seconds.
        """
        self.node.submit_grant(authority)
        deadline = monotonic() + timeout
        while self.node.replica.state.authority(self.node.log.tick).version < authority.version:
            if self.node.replica.active is None:
                raise NotActiveError(self.node.leader())
            if monotonic() > deadline:
                raise TimeoutError("the grant was not committed in time")
            sleep(_POLL_SECONDS)


@contextlib.contextmanager
def _as_simulator_error(spec: AreaSpec) -> Iterator[None]:
    """Converts an error of an area's engine to a `SimulatorError`, and logs the traceback of the author's code.

    Raises:
        SimulatorError: The body raised `EngineError`.
    """
    try:
        yield
    except EngineError as error:
        log.error(  # noqa: TRY400 - the traceback is that of the author's code
            "the simulator cannot simulate this area",
            area=spec.area, simulator=spec.simulator, error=str(error),
            exception=error.traceback.rstrip() or None,
        )  # fmt: skip
        raise SimulatorError(str(error)) from error


def _check_memory(spec: AreaSpec, schema: Schema) -> None:
    """Refuses a new area whose first state cannot fit into the memory of this process.

    Raises:
        SimulatorError: It cannot.
    """
    memory = read_memory()
    if memory is not None and (refusal := area_refusal(spec.area, spec.entities, row_bytes(schema), memory.limit)):
        raise SimulatorError(refusal)


def _check_definition(spec: AreaSpec, saved: Assignment | None, folder: Path) -> None:
    """Refuses to continue the journal of an area that was defined in another way.

    Raises:
        SimulatorError: It was.
    """
    if saved is not None and (changed := spec.changed_fields(saved.spec)):
        raise SimulatorError(
            f"the area {spec.area} in {folder} was made with other values of: {', '.join(changed)}. The data stays as"
            " it is: give the area its old values, or give another --data folder to begin a new world"
        )
