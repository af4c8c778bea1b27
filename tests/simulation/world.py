"""One area on three simulated processes (and spares), running the real replication code in virtual time."""

from __future__ import annotations

import collections
import contextlib
import heapq
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.assignment import Member as Peer
from pairsim.model.authority import Authority
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command, Result
from pairsim.model.geometry import Box
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.model.status import Succession
from pairsim.replication.checkpoint.format import Checkpoint
from pairsim.replication.clock import use_clock
from pairsim.replication.log.records import Record, Seal, Tick
from pairsim.replication.log.tick_log import TickLog, TickLogListener
from pairsim.replication.membership.membership import Member
from pairsim.replication.raft import replicator, snapshots
from pairsim.replication.raft.journal import Journal, MemoryStorage
from pairsim.replication.replica.inbox import Inbox
from pairsim.replication.replica.replica import Replica
from pairsim.replication.service import Committed, InboxFullError, Published, ReplicaError
from pairsim.replication.sync.messages import ToSubscriber, decode_to_subscriber, encode_to_subscriber
from pairsim.replication.sync.publisher import PackedFrame, Subscriber
from pairsim.settings import Timing
from tests.simulation.net import Clock, Endpoint, Net, SimWire

BOX = Box(min=(0.0, 0.0, 0.0), max=(1.0, 1.0, 1.0))
SPEC = AreaSpec(
    area="area",
    plane="plane",
    simulator="tests.simulation.world:Counters",
    seed=7,
    tick_rate=10.0,
    bounds=BOX,
    world=BOX,
    entities=8,
)


class Violation(AssertionError):
    """An invariant does not hold."""


class Counters:
    """Entities with a value that drifts by the random stream, and that commands add to."""

    components = Schema((Component("value", "int64"), Component("noise", "float32")))
    operations = (Operation("add", (Component("amount", "int64"),)),)

    def __init__(self, area: AreaSpec) -> None:
        self._count = area.entities

    def prepare(self) -> None:
        """Nothing to compile."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(np.arange(self._count, dtype=np.int64), {})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        if len(table):
            table.column("noise")[:] += rng.random(len(table), dtype=np.float32)
        for index, command in enumerate(batch.commands):
            row = table.row(command.entity)
            if row is None:
                batch.reject(index, f"entity {command.entity} does not exist")
            else:
                table.column("value")[row] += int(command.components["amount"])  # type: ignore[arg-type]

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return ()


_MOMENT = 0.0005
"""Seconds by which a thread that sleeps wakes late, at the most."""

_DIGESTS = 3
"""As many recent ticks are asked for; a lost leadership may be that far ahead."""


class Oracle:
    """What all processes together said; checks the invariants as they speak."""

    def __init__(self) -> None:
        self.records: dict[int, Tick] = {}
        self.digests: dict[int, int] = {}
        self.actives: dict[int, str] = {}
        self.ran: dict[str, int] = {}
        self.acked: dict[str, Result] = {}
        self.refused: dict[str, str] = {}
        self.takeovers = 0

    def committed(self, record: Tick) -> None:
        known = self.records.setdefault(record.tick, record)
        if known != record:
            raise Violation(f"tick {record.tick} was committed twice: {known} and {record}")
        for command in record.commands:
            if self.ran.setdefault(command.id, record.tick) != record.tick:
                raise Violation(f"command {command.id} ran in ticks {self.ran[command.id]} and {record.tick}")

    def published(self, replica: str, tick: int, digest: int) -> None:
        if self.digests.setdefault(tick, digest) != digest:
            raise Violation(f"{replica} shows another tick {tick} than was seen before")

    def active(self, replica: str, term: int) -> None:
        self.takeovers += 1
        if self.actives.setdefault(term, replica) != replica:
            raise Violation(f"term {term} has two actives: {self.actives[term]} and {replica}")

    def answered(self, result: Result) -> None:
        tick = self.ran.get(result.id)
        if tick != result.tick:
            raise Violation(f"command {result.id} was acknowledged for tick {result.tick}, the log has {tick}")
        self.acked.setdefault(result.id, result)
        if self.refused.setdefault(result.id, result.reason) != result.reason:
            raise Violation(f"command {result.id} was answered {self.refused[result.id]!r} and then {result.reason!r}")


class Spy:
    """Listens to a tick log for the oracle, too."""

    def __init__(self, inner: TickLogListener, oracle: Oracle) -> None:
        self._inner, self._oracle = inner, oracle
        self.on_open, self.on_grant, self.on_seal = inner.on_open, inner.on_grant, inner.on_seal

    def on_tick(self, record: Tick, payload: bytes) -> None:
        self._oracle.committed(record)
        self._inner.on_tick(record, payload)


class WitnessKeeper:
    """A witness's part: the log, nothing else."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def capable(self) -> bool:
        return False

    def opened(self, term: int, succession: Succession | None) -> None:
        raise Violation(f"the witness became active in term {term}")

    def closed(self) -> None: ...

    def on_open(self, term: int) -> None: ...

    def on_tick(self, record: Tick, payload: bytes) -> None:
        self._process.world.oracle.committed(record)

    def on_grant(self, authority: Authority) -> None: ...

    def on_seal(self, seal: Seal) -> None:
        assert self._process.member is not None
        self._process.member.sealed(seal)


class SimDisk:
    """Checkpoints that outlive a crash."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self.saved: Checkpoint | None = None
        self._next = 0.0

    @property
    def durable(self) -> int:
        return self.saved.tick if self.saved else 0

    def load(self) -> Checkpoint | None:
        saved = self.saved
        return Checkpoint(saved.tick, saved.term, saved.table.copy(), saved.rejected) if saved else None

    def maybe_write(
        self,
        table: Table,
        tick: int,
        term: int,
        digest: int,
        now: float,
        *,
        rejected: Mapping[int, str],
        urgent: bool,
    ) -> None:
        if (urgent or now >= self._next) and tick != self.durable:
            self._next = now + 2.0
            if tick > 0 and tick not in self._oracle.records:
                raise Violation(f"tick {tick} is written to disk before it is committed")
            self.saved = Checkpoint(tick, term, table.copy(), dict(rejected))


class Process:
    """A replica or witness with what survives its crashes (journals, checkpoint, assignment)."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.storages: dict[int, MemoryStorage] = {}
        self.assignments: dict[int, Assignment] = {}
        self.disk = SimDisk(self.world.oracle)
        self.assignment: Assignment | None = None
        self.announced: Assignment | None = None
        self.member: Member | None = None
        self.replica: Replica | None = None
        self.inbox = Inbox(10_000)
        self.due = self._raft_due = 0.0
        self._timer = 0.0
        self._wires: dict[int, SimWire] = {}
        self.retired = False

    # --- Surface

    def wire(self, assignment: Assignment) -> SimWire:
        peers = frozenset(m.replica for m in assignment.members()) - {self.name}
        generation = assignment.generation
        wire = SimWire(self.world.net, self.name, peers, assignment.spec.area, generation, self._refused)
        self._wires[generation] = wire
        return wire

    def _refused(self, peer: str) -> None:
        """A peer has no such group: it says which one it has."""
        other = self.world.processes[peer]
        if other.member is not None and self.member is not None and not other.retired and other.announced is not None:
            self.member.supersede(other.announced)

    def journal(self, assignment: Assignment) -> Journal:
        storage = self.storages.setdefault(assignment.generation, MemoryStorage())
        return Journal(storage, "boot", f"area/{assignment.generation}/{self.name}")

    def has_journal(self, generation: int) -> bool:
        return generation in self.storages

    def remember(self, assignment: Assignment) -> None:
        self.assignment = self.assignments[assignment.generation] = assignment

    def former(self, generation: int) -> Assignment | None:
        return self.assignments.get(generation) if self.has_journal(generation) else None

    def announce(self, assignment: Assignment) -> None:
        self.announced = assignment

    def forget(self, generation: int) -> None:
        self.storages.pop(generation, None)

    # --- Consensus

    def submit(self, term: int, record: Record) -> None:
        assert self.member is not None
        self.member.group.submit(term, record, lambda: None)

    def switch_to(self, peer: str | None) -> None:
        assert self.member is not None
        self.member.group.switch_to(peer)

    def voters(self) -> frozenset[str]:
        assert self.member is not None
        return self.member.group.voters()

    def companions(self) -> frozenset[str]:
        assert self.member is not None
        return self.member.group.links & {m.replica for m in self.member.assignment.replicas}

    # --- life

    def start(self, assignment: Assignment) -> None:
        resuming = assignment.generation in self.storages
        self.announced, self._raft_due = None, 0.0
        ticks = TickLog(Authority(area="area", epoch=1, bounds=BOX))
        self.retired = False
        if assignment.witness.replica == self.name:
            self.replica = None
            keeper = WitnessKeeper(self)
            ticks.listener = keeper
            self.member = self._member(assignment, ticks, keeper)
        else:
            self.inbox = Inbox(10_000)
            self.replica = replica = Replica(
                SPEC, Counters(SPEC), ticks, consensus=self, disk=self.disk, inbox=self.inbox, wake=self.wake
            )
            replica.on_publish = self._published
            replica.on_takeover = self._taken_over
            replica.on_sealed = self._sealed
            spy = ticks.listener
            assert spy is not None
            ticks.listener = Spy(spy, self.world.oracle)
            if not (resuming and replica.resume()) and assignment.generation == 1:
                replica.found()
            self.member = self._member(assignment, ticks, replica)
            replica.follower.commit_known_from_log = self.member.by_log
            self.world.streams.attach(self)
        self.wake()

    def _member(self, assignment: Assignment, ticks: TickLog, leadership: object) -> Member:
        return Member(
            self.name,
            assignment,
            ticks=ticks,
            leadership=leadership,  # type: ignore[arg-type]
            surface=self,
            timing=TIMING,
            on_retired=self._retire,
        )

    def crash(self, rng: random.Random, *, lose_disk: bool = False) -> None:
        """Kill -9: memory and sockets go, files stay."""
        for key in [k for k, e in self.world.net.endpoints.items() if e.process == self.name]:
            self.world.net.remove(key)
        self.member = self.replica = None
        if lose_disk:
            self.storages, self.disk, self.assignment = {}, SimDisk(self.world.oracle), None
            self.assignments = {}

    def _retire(self) -> None:
        self.retired = True

    def turn(self, now: float) -> None:
        """What is due in this process. Its two threads sleep as the real ones do: who is not woken does nothing."""
        if self.member is None:
            return
        net = self.world.net
        for _round in range(20):
            busy = net.pump(self.name)
            self._turn_raft(now, busy)
            self._read_digests()
            if self.replica is not None and now >= self.due:
                self.due = self.replica.run_once(now)
            if not busy and now < self._raft_due:
                break
        due = self._raft_due if self.replica is None else min(self._raft_due, self.due)
        due = max(min(due, net.next_dial(self.name)), now + _MOMENT)
        if due < self._timer or self._timer <= now:
            self._timer = due
            net.schedule(due, self.name)

    def _turn_raft(self, now: float, busy: set[str]) -> None:
        assert self.member is not None
        wire = self._wires[self.member.assignment.generation]
        if wire.key in busy or wire.woken or now >= self._raft_due:
            self.member.turn(TIMING.ping)
            asleep = self._wires[self.member.assignment.generation].asleep
            self._raft_due = now + asleep + (_MOMENT if asleep else 0.0)

    def _read_digests(self) -> None:
        """As `GET /v1/digests` does, at any time between two steps."""
        if self.replica is not None:
            last = self.replica.log.tick
            for tick, digest in self.replica.state.digests(last - _DIGESTS, last).items():
                self.world.oracle.published(self.name, tick, int(digest, 16))

    def wake(self) -> None:
        self.due = 0.0
        self.world.net.schedule(self.world.clock.now, self.name)

    def _published(self, published: Published | None) -> None:
        if published is not None and self.replica is not None:
            digest = self.replica.state.digest(published.tick)
            assert digest is not None
            self.world.oracle.published(self.name, published.tick, digest)

    def _taken_over(self, *, term: int, tick: int, replayed: int) -> None:
        self.world.oracle.active(self.name, term)

    def _sealed(self, seal: Seal) -> None:
        assert self.member is not None
        assert self.replica is not None
        self.member.sealed(seal)


class Streams:
    """State streams over the net: each replica subscribes to the other one of its generation."""

    def __init__(self, net: Net) -> None:
        self.net = net

    def attach(self, process: Process) -> None:
        """Both sides of a process."""
        self._serve(process)
        self._subscribe(process)

    def _serve(self, process: Process) -> None:
        key, replica = f"{process.name}|serve", process.replica
        assert replica is not None
        subscribers: dict[str, Subscriber] = {}
        endpoint = Endpoint(process.name)

        def up(peer: str) -> None:
            subscribers[peer] = replica.publisher.join(peer.split("|", maxsplit=1)[0], SimOutlet(self.net, key, peer))

        def down(peer: str) -> None:
            replica.publisher.leave(subscribers.pop(peer))

        def message(peer: str, said: object) -> None:
            replica.publisher.on_message(subscribers[peer], said)  # type: ignore[arg-type]

        endpoint.up, endpoint.down, endpoint.message = up, down, message
        self.net.add(key, endpoint)

    def _subscribe(self, process: Process) -> None:
        key, replica = f"{process.name}|subscribe", process.replica
        assert replica is not None
        endpoint = Endpoint(process.name)

        def wants() -> frozenset[str]:
            member = process.member
            if member is None or replica.active is not None:
                return frozenset()
            others = [m.replica for m in member.assignment.replicas if m.replica != process.name]
            return frozenset(f"{name}|serve" for name in others)

        def up(peer: str) -> None:
            replica.follower.on_connected(lambda said: void(self.net.send(key, peer, said)))

        def message(_peer: str, data: object) -> None:
            header, body = decode_to_subscriber(data)  # type: ignore[arg-type]
            if not replica.follower.receive(header, body):
                raise Violation("the active sent more frames than it may")
            if replica.follower.ready():
                process.wake()

        endpoint.wants, endpoint.up, endpoint.message = wants, up, message
        endpoint.down = lambda _peer: replica.follower.on_disconnected()
        self.net.add(key, endpoint)


def void(_value: object) -> None:
    """Drops a value."""


class SimOutlet:
    """An `Outlet` over the net."""

    def __init__(self, net: Net, key: str, peer: str) -> None:
        self._net, self._key, self._peer = net, key, peer

    def offer(self, message: ToSubscriber, body: PackedFrame | None) -> None:
        head = encode_to_subscriber(message)
        self._net.send(self._key, self._peer, head + (body.bytes() if body else b""))


class Sender:
    """A client: numbered commands, sent again with the same id until they are answered, and at times once more."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[str, Command] = {}
        self._answered: collections.deque[Command] = collections.deque(maxlen=30)
        self._number = 0

    def send(self, rng: random.Random) -> None:
        """Sends something new, and again what has no answer."""
        if self._number < 10_000:
            self._number += 1
            command = Command(
                id=f"c{self._number}", op="add", entity=rng.randrange(10), components={"amount": self._number}
            )
            self._open[command.id] = command
        batch = list(self._open.values())[:20]
        if self._answered and rng.random() < 0.2:
            batch.append(rng.choice(self._answered))
        for process in self._world.processes.values():
            replica = process.replica
            if replica is not None and replica.active is not None and process.name not in self._world.net.halted:
                with contextlib.suppress(InboxFullError):  # it is sent again
                    process.inbox.put(batch, self._answer)
                process.wake()
                return

    def _answer(self, answer: Committed | ReplicaError) -> None:
        if isinstance(answer, Committed):
            for result in answer.results:
                command = self._open.pop(result.id, None)
                if command is not None:
                    self._answered.append(command)
                self._world.oracle.answered(result)


TIMING = Timing()
SPARES = ("s1", "s2", "0")
"""Of two members the one whose name is the smaller dials, so one spare is before and two are after the founders."""


class World:
    """A run: processes, net, client and oracle."""

    def __init__(self, seed: int) -> None:
        random.seed(seed)
        self.rng = random.Random(seed)
        # Seconds of virtual time would never fill a log: some runs compact often, and send snapshots in small pieces.
        snapshots.COMPACT_ENTRIES = self.rng.choice((4, 15, 60, 2_000))
        # And links that take little at a time: then a transfer lasts, and faults interrupt it.
        snapshots.CHUNK_BYTES = self.rng.choice((100, 1_000, 256 * 1024))
        replicator.BURST_BYTES = self.rng.choice((1_000, 10_000, 4 * 2**20))
        self.clock = Clock()
        use_clock(self.clock)
        self.net = Net(self.clock, self.rng)
        self.oracle = Oracle()
        self.streams = Streams(self.net)
        self.sender = Sender(self)
        self.processes = {name: Process(self, name) for name in ("a", "b", "w", *SPARES)}
        self.assignment = self.generation(1, ("a", "b"), ())
        for name in ("a", "b", "w"):
            self.processes[name].start(self.assignment)
        self._next_send = self.clock.now
        self.replacing = False

    def generation(self, number: int, replicas: Sequence[str], joins: Sequence[str], witness: str = "w") -> Assignment:
        def peer(name: str) -> Peer:
            return Peer(replica=name, peer=f"{name}:1", url=f"http://{name}")

        first, second = replicas
        return Assignment(
            spec=SPEC,
            generation=number,
            replicas=(peer(first), peer(second)),
            witness=peer(witness),
            joins=tuple(joins),
        )

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        end = self.clock.now + seconds
        while self.net.events and self.net.events[0][0] <= end:
            when, _serial, name = heapq.heappop(self.net.events)
            self.clock.now = max(self.clock.now, when)
            if self.clock.now >= self._next_send:
                self._next_send = self.clock.now + 0.03
                self.sender.send(self.rng)
            if name not in self.net.halted:
                self._drop_same(name, when)
                self.processes[name].turn(self.clock.now)
        self.clock.now = end

    def _drop_same(self, name: str, when: float) -> None:
        """One turn serves all that is due for a process now."""
        events = self.net.events
        while events and events[0][2] == name and events[0][0] <= max(when, self.clock.now):
            heapq.heappop(events)

    def active(self) -> Process | None:
        """The active, if there is exactly one that could be told so."""
        found = [p for p in self.processes.values() if p.replica is not None and p.replica.active is not None]
        return found[0] if len(found) == 1 else None

    def halt(self, name: str) -> None:
        """SIGSTOP."""
        self.net.halted.add(name)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self.net.halted.discard(name)
        self.net.schedule(self.clock.now, name)

    def restart(self, name: str) -> None:
        """Starts a process again on its files."""
        process = self.processes[name]
        if process.assignment is not None:
            process.start(process.assignment)

    def settle(self, repair: Callable[[], None], seconds: float = 20.0) -> None:
        """Everything is repaired; the pair must become redundant in time, with equal states."""
        self.net.cut.clear()
        for name in sorted(self.net.halted):
            self.resume(name)
        end = self.clock.now + seconds
        while not self.redundant() or self.replacing:
            if self.clock.now > end:
                raise Violation(f"not redundant {seconds} s after everything was repaired:\n{self.picture()}")
            self.run(0.1)
            repair()
            for name in self.members():
                if self.processes[name].member is None:
                    self.restart(name)
        self.run(0.5)

    def newest(self) -> Assignment:
        """The newest generation that is open: its voters are at work, or were."""
        opened = [
            p.assignment
            for p in self.processes.values()
            if p.assignment is not None and p.name not in p.assignment.joins and not p.retired
        ]
        return max(opened, key=lambda a: a.generation)

    def members(self) -> tuple[str, ...]:
        """Of the newest generation."""
        return tuple(m.replica for m in self.newest().members())

    def redundant(self) -> bool:
        """One active, a passive that could take over, no divergence, everything acknowledged is in the log."""
        active = self.active()
        if active is None or active.replica is None or active.member is None:
            return False
        replicas = [self.processes[m.replica].replica for m in active.member.assignment.replicas]
        if any(self.processes[m.replica].member is None for m in active.member.assignment.members()):
            return False
        passive = next(m.replica for m in active.member.assignment.replicas if m.replica != active.name)
        if not active.replica.log.reaches(active.replica.publisher.acked(passive)):
            return False
        return all(
            r is not None and r.capable() and r.log.tick >= active.replica.log.tick - 2 for r in replicas
        ) and all(self.processes[m.replica].member.group.voter for m in active.member.assignment.members())  # type: ignore[union-attr]

    def picture(self) -> str:
        """For the failure's message."""
        lines = []
        for name, p in self.processes.items():
            if p.member is None:
                lines.append(f"{name}: down")
                continue
            group, log = p.member.group, p.replica.log if p.replica else None
            lines.append(
                f"{name}: gen {p.member.assignment.generation} {group._raft.state.name} term {group.term}"
                f" leader {group.leader} voter {group.voter} last {group._raft.last} links {sorted(group.links)}"
                + (
                    f" tick {log.tick} state {p.replica.state.tick} valid {p.replica.state.valid}"
                    f" doubt {p.replica.state.unconfirmed_term} capable {p.replica.capable()}"
                    if log and p.replica
                    else ""
                )
            )
        return "\n".join(lines)

    def check_end(self) -> None:
        """After `settle`: what was acknowledged is there, replicas agree."""
        for name, process in self.processes.items():
            if process.replica is not None and process.replica.state.divergences:
                raise Violation(f"{name} diverged {process.replica.state.divergences} times")
        lost = [i for i, result in self.oracle.acked.items() if self.oracle.ran.get(i) != result.tick]
        if lost:
            raise Violation(f"acknowledged commands are lost: {lost[:5]}")
        ticks = sorted(self.oracle.records)
        if ticks != list(range(1, len(ticks) + 1)):
            raise Violation("committed ticks have a gap")
