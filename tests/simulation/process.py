"""A simulated process: its disk, which survives crashes, and its node, which virtual time drives."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Protocol, cast

from pairsim.engine.port import Engine, EngineError
from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.borders import BorderState
from pairsim.model.simulation.interface import interface_of
from pairsim.model.simulation.simulator import Simulator
from pairsim.model.state.table import TableView
from pairsim.replication.checkpoint.format import Checkpoint
from pairsim.replication.log.records import Order, Seal, Tick
from pairsim.replication.log.tick_log import TickLogListener
from pairsim.replication.membership.membership import Membership
from pairsim.replication.membership.witness_node import WitnessNode
from pairsim.replication.patience import ProcessorWaits
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.storage import MemoryStorage
from pairsim.replication.replica.engine.absent import AbsentEngine
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.replica.ports import Capacity
from pairsim.replication.replica.replica import Replica
from pairsim.replication.service import NoStateError, Published
from pairsim.settings import Timing
from tests.simulation.engines import START_SECONDS, EngineFaults, FaultyEngine
from tests.simulation.network import Network, SimTransport
from tests.simulation.oracle import Oracle, OracleListener, Violation

TIMING = Timing()

_WAKE_DELAY_SECONDS = 0.0005
"""The longest delay with which a thread that sleeps wakes."""

_RECENT_DIGESTS = 3
"""How many recent ticks are asked for; a lost leadership may be that far ahead."""

_INBOX_COMMANDS = 10_000


class SimCheckpoints:
    """Checkpoints that survive a crash."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self.saved: Checkpoint | None = None
        self.next_due = 0.0
        self.shown = 0

    def show(self, tick: int) -> None:
        self.shown = tick

    @property
    def durable(self) -> int:
        return self.saved.tick if self.saved else 0

    def load(self) -> Checkpoint | None:
        saved = self.saved
        return Checkpoint(saved.tick, saved.term, saved.table.copy(), saved.borders) if saved else None

    def maybe_write(
        self,
        view: TableView,
        borders: BorderState,
        tick: int,
        term: int,
        digest: int,
        now: float,
        *,
        urgent: bool,
    ) -> None:
        if (urgent or now >= self.next_due) and tick != self.durable:
            self.next_due = now + 2.0
            if tick > 0 and tick not in self._oracle.records:
                raise Violation(f"tick {tick} is written to disk before it is committed")
            self.saved = Checkpoint(tick, term, view.copy(), borders)


class SimGroupResources:
    """The `GroupResources` of a simulated process: journals in memory, links over the simulated network.

    Attributes:
        storages: The journals by generation.
        assignments: The members of each generation that was saved.
        saved: The generation that a restart resumes.
        published: The generation that the process names to others as the one in force.
        transports: The newest transport of each generation.
        starved: Whether the process waits for a processor whenever it does not run; otherwise it is stopped.
    """

    def __init__(self, network: Network, name: str, published_by: Callable[[str], Assignment | None]) -> None:
        """`published_by` returns the generation that another process names, if it is alive and names one."""
        self._network, self._name, self._published_by = network, name, published_by
        self.storages: dict[int, MemoryStorage] = {}
        self.assignments: dict[int, Assignment] = {}
        self.saved: Assignment | None = None
        self.published: Assignment | None = None
        self.transports: dict[int, SimTransport] = {}
        self.starved = False

    def lose_disk(self) -> None:
        """Loses all that survives a crash."""
        self.storages, self.assignments, self.saved = {}, {}, None

    def open_transport(self, assignment: Assignment, on_superseded: Callable[[Assignment], None]) -> SimTransport:
        def refused(peer: str) -> None:
            """The peer has no such group: it names the generation that it has."""
            named = self._published_by(peer)
            if named is not None:
                on_superseded(named)

        peers = frozenset(m.replica for m in assignment.members()) - {self._name}
        generation = assignment.generation
        transport = SimTransport(self._network, self._name, peers, assignment.spec.area, generation, refused)
        self.transports[generation] = transport
        return transport

    def open_journal(self, assignment: Assignment) -> Journal:
        storage = self.storages.setdefault(assignment.generation, MemoryStorage())
        return Journal(storage, "boot", f"area/{assignment.generation}/{self._name}")

    def has_journal(self, generation: int) -> bool:
        return generation in self.storages

    def redirect(self, assignment: Assignment) -> None:
        """Does nothing: the simulated network knows its processes by name."""

    def save_assignment(self, assignment: Assignment) -> None:
        self.saved = self.assignments[assignment.generation] = assignment

    def saved_generation(self, generation: int) -> Assignment | None:
        return self.assignments.get(generation) if self.has_journal(generation) else None

    def publish_generation(self, assignment: Assignment) -> None:
        self.published = assignment

    def delete_generation(self, generation: int) -> None:
        self.storages.pop(generation, None)

    def processor_waits(self) -> ProcessorWaits:
        return self

    def since(self, then: float) -> float:
        return self._network.clock.now - then if self.starved else 0.0

    def keep_current(self, now: float) -> None: ...


class ReaderDuringApply:
    """A tick log's listener that reads the state of its process while the Raft thread applies records.

    The threads of a process interleave there, but not in virtual time: a turn of the Raft thread is one step.
    """

    def __init__(self, read: Callable[[], None]) -> None:
        self._read = read

    def on_open(self, term: int) -> None:
        self._read()

    def on_tick(self, record: Tick, payload: bytes) -> None:
        self._read()

    def on_order(self, order: Order) -> None: ...

    def on_seal(self, seal: Seal) -> None: ...


Turn = Callable[[float], float]
"""Does the work that is due at a time, and returns the latest time of the next call."""


class Peripheral(Protocol):
    """What the threads of a process do beside the Raft thread and the replica thread."""

    def attach(self, node: AreaNode, name: str) -> Turn | None:
        """Begins to serve a replica that has just started, on endpoints of its process; returns its turns, if any."""


class SimProcess:
    """A simulator or witness process. It is the `NodeListener` of its node.

    Attributes:
        node: What runs; None while the process is down.
        retired: Whether the area continues without this process.
        observers: Tick log listeners that the next start adds to the node.
        hanging: The thread that hangs, "raft" or "replica"; empty if none does.
        faults: What its engines do in place of answers.
        engine: The engine in use; None while it could not be started.
    """

    def __init__(
        self,
        name: str,
        *,
        network: Network,
        oracle: Oracle,
        peripherals: Sequence[Peripheral],
        published_by: Callable[[str], Assignment | None],
        faults: EngineFaults,
        simulator: type[Simulator],
        spec: AreaSpec,
        room: Callable[[], int],
        timing: Timing,
        reads_often: bool,
    ) -> None:
        self.name, self._timing = name, timing
        self._reads_often = reads_often
        self._read: tuple[object, ...] = ()
        self._network, self._oracle, self._peripherals = network, oracle, peripherals
        self._turns: list[Turn] = []
        self._simulator, self._spec, self._capacity = simulator, spec, Capacity(_INBOX_COMMANDS, room)
        self.resources = SimGroupResources(network, name, published_by)
        self.checkpoints = SimCheckpoints(oracle)
        self.node: AreaNode | WitnessNode | None = None
        self.retired = False
        self.hanging = ""
        self.observers: list[TickLogListener] = [OracleListener(oracle), ReaderDuringApply(self.read_state)]
        self.faults = faults
        self.engine: FaultyEngine | None = None
        self._engine_due: float | None = None
        self._fresh_due: float | None = None
        self._replica_due = self._raft_due = self._timer = 0.0

    @property
    def membership(self) -> Membership | None:
        """The membership; None while the process is down."""
        return self.node.membership if self.node is not None else None

    @property
    def replica(self) -> Replica | None:
        """The replica; None in a witness, and while the process is down."""
        return self.node.replica if isinstance(self.node, AreaNode) else None

    # --- life

    def start(self, assignment: Assignment) -> None:
        """Starts the process with an assignment, on the files that it has."""
        self.resources.published, self._raft_due, self.retired = None, 0.0, False
        self._turns = []
        if assignment.witness.replica == self.name:
            self.node = WitnessNode(
                self.name,
                assignment,
                resources=self.resources,
                timing=self._timing,
                on_term=lambda: None,
                on_retired=self.on_retired,
                observers=self.observers,
            )
        else:
            try:
                self.node = self._make_node(assignment)
            except EngineError:
                return  # it has no state, and cannot create one: it refuses the area, and is asked again
            attached = [peripheral.attach(self.node, self.name) for peripheral in self._peripherals]
            self._turns = [turn for turn in attached if turn is not None]
        self.wake()

    def _make_node(self, assignment: Assignment) -> AreaNode:
        return AreaNode(
            self.name,
            assignment,
            engine=self._first_engine(),
            resources=self.resources,
            checkpoints=self.checkpoints,
            capacity=self._capacity,
            timing=self._timing,
            listener=self,
            observers=self.observers,
        )

    def _first_engine(self) -> Engine:
        """Starts an engine; returns an absent one if that fails, in place of which another one is started later.

        The interface of the simulator is always known here.
        """
        try:
            return self._start_engine()
        except EngineError as error:
            self.engine = None
            self._start_engine_later()
            return AbsentEngine(interface_of(self._simulator), error)

    def _make_engine(self) -> FaultyEngine:
        return FaultyEngine(self.faults, self._simulator, self._spec)

    def _start_engine(self) -> FaultyEngine:
        self.engine, self._engine_due = self._make_engine(), None
        return self.engine

    def _start_engine_later(self) -> None:
        self._engine_due = self._network.clock.now + START_SECONDS
        self._network.schedule(self._engine_due, self.name)

    def _offer_engine(self, replica: Replica) -> None:
        try:
            replica.offer_engine(self._start_engine())
        except EngineError as error:
            replica.failures.on_start_failed(error, self._network.clock.now)
            self._start_engine_later()

    def _offer_fresh_engine(self, replica: Replica) -> None:
        self._fresh_due = None
        try:
            replica.offer_fresh_engine(self._make_engine())
        except EngineError as error:
            replica.offer_fresh_engine(error)

    def end_engine(self) -> None:
        """Ends the engine between two calls."""
        replica = self.replica
        if replica is not None and self.engine is not None and replica.failures.running:
            self.engine.close()
            replica.on_engine_end("was ended by SIGKILL")

    def crash(self, *, lose_disk: bool = False) -> None:
        """Kills the process: memory and sockets are lost, files stay."""
        self._network.remove_all(self.name)
        self.node, self._fresh_due = None, None
        if lose_disk:
            self.resources.lose_disk()
            self.checkpoints = SimCheckpoints(self._oracle)

    # --- time

    def turn(self, now: float) -> None:
        """Does the work that is due. The two threads sleep as real ones do: only a wake-up ends a sleep early."""
        node = self.node
        if node is None:
            return
        replica = self.replica
        if replica is not None and self._engine_due is not None and now >= self._engine_due:
            self._offer_engine(replica)
        if replica is not None and self._fresh_due is not None and now >= self._fresh_due:
            self._offer_fresh_engine(replica)
        for _round in range(20):
            busy = self._network.pump(self.name)
            if self.hanging != "raft":
                self._turn_raft(node, now, busy)
            self.read_state()
            if replica is not None and now >= self._replica_due and self.hanging != "replica":
                self._replica_due = replica.run_once(now)
            if not busy and now < self._raft_due:
                break
        due = self._raft_due if replica is None else min(self._raft_due, self._replica_due)
        if self.hanging:
            due = now + self._timing.ping
        due = min([due, *(turn(now) for turn in self._turns)])
        due = max(min(due, self._network.next_dial(self.name)), now + _WAKE_DELAY_SECONDS)
        if due < self._timer or self._timer <= now:
            self._timer = due
            self._network.schedule(due, self.name)

    def _turn_raft(self, node: AreaNode | WitnessNode, now: float, busy: set[str]) -> None:
        transports = self.resources.transports
        transport = transports[node.membership.assignment.generation]
        if transport.key in busy or transport.woken or now >= self._raft_due:
            node.turn_raft(self._timing.ping)
            asleep = transports[node.membership.assignment.generation].asleep
            self._raft_due = now + asleep + (_WAKE_DELAY_SECONDS if asleep else 0.0)

    def read_state(self) -> None:
        """Reads what another thread may be shown at any moment: the recent digests, and the state itself."""
        replica = self.replica
        if replica is None:
            return
        last, state = replica.log.tick, replica.state
        shown = (last, state.tick, state.valid, state.unconfirmed_term, replica.active is None)
        if not self._reads_often and shown == self._read:
            return
        self._read = shown
        for tick, digest in replica.state.digests(last - _RECENT_DIGESTS, last).items():
            self._oracle.published(self.name, tick, int(digest, 16))
        with contextlib.suppress(NoStateError, TimeoutError):
            tick, digest = replica.state.read(
                lambda area: (area.published.tick, area.table.digest()), replica.log, timeout=0.0
            )
            self._oracle.read(self.name, tick, digest)

    # --- NodeListener

    def on_engine_failed(self) -> None:
        if self.engine is not None:
            self.engine.close()
        self._start_engine_later()

    def on_engine_wanted(self) -> None:
        self._fresh_due = self._network.clock.now + START_SECONDS
        self._network.schedule(self._fresh_due, self.name)

    def on_engine_replaced(self, old: Engine, new: Engine) -> None:
        old.close()
        self.engine = cast("FaultyEngine", new)

    def on_engine_unused(self, engine: Engine) -> None:
        engine.close()

    def wake(self) -> None:
        self._replica_due = 0.0
        self._network.schedule(self._network.clock.now, self.name)

    def on_publish(self, published: Published | None) -> None:
        if published is not None and self.replica is not None:
            digest = self.replica.state.digest(published.tick)
            assert digest is not None
            self._oracle.published(self.name, published.tick, digest)

    def on_takeover(self, *, term: int, tick: int, replayed: int) -> None:
        self._oracle.active(self.name, term)

    def on_retired(self) -> None:
        self.retired = True
