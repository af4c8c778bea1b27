"""One area on three simulated processes (and spares), running the real replication code in virtual time."""

from __future__ import annotations

import functools
import heapq
import random
from collections.abc import Callable, Sequence

import msgspec

from pairsim.model.area import Detection
from pairsim.model.assignment import Assignment
from pairsim.replication.clock import use_clock
from pairsim.replication.raft import replicator, snapshots
from pairsim.replication.replica.node import AreaNode
from tests import builders
from tests.simulation.area import SPEC
from tests.simulation.client import SimClient
from tests.simulation.network import Clock, Network
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.process import SimProcess
from tests.simulation.streams import Streams

SPARES = ("s1", "s2", "0")
"""The member with the smaller name dials, so one spare is before and two are after the initial members."""


class World:
    """A run: processes, network, client and oracle."""

    def __init__(
        self,
        seed: int,
        *,
        prepare: Callable[[World], None] = lambda _world: None,
        detection: Detection | msgspec.UnsetType = msgspec.UNSET,
    ) -> None:
        """`prepare` is called before the processes start: it may add observers, or replace the client."""
        self._spec = msgspec.structs.replace(SPEC, detection=detection)
        random.seed(seed)
        self.rng = random.Random(seed)
        # Seconds of virtual time never fill a log: some runs compact often, and send snapshots in small pieces.
        snapshots.COMPACT_ENTRIES = self.rng.choice((4, 15, 60, 2_000))
        # Links that take little at a time make a transfer last, so that faults interrupt it.
        snapshots.CHUNK_BYTES = self.rng.choice((100, 1_000, 256 * 1024))
        replicator.BURST_BYTES = self.rng.choice((1_000, 10_000, 4 * 2**20))
        self.clock = Clock()
        use_clock(self.clock)
        self.network = Network(self.clock, self.rng)
        self.oracle = Oracle()
        self.streams = Streams(self.network)
        self.client = SimClient(self.oracle)
        self.poison: set[str] = set()
        self.code, self.codes = "written", dict[str, str]()
        self.processes = {
            name: SimProcess(
                name,
                network=self.network,
                oracle=self.oracle,
                streams=self.streams,
                published_by=self._published_by,
                poison=self.poison,
                code=functools.partial(self._code_of, name),
            )
            for name in ("a", "b", "w", *SPARES)
        }
        self.assignment = self.generation(1, ("a", "b"), ())
        prepare(self)
        for name in ("a", "b", "w"):
            self.processes[name].start(self.assignment)
        self._next_send = self.clock.now
        self.replacing = self.settling = False

    def _code_of(self, name: str) -> str:
        """Returns the code in the files of a process."""
        return self.codes.get(name, self.code)

    def _published_by(self, name: str) -> Assignment | None:
        """Returns the generation that a process names to others; None while it is down or retired."""
        process = self.processes[name]
        return process.resources.published if process.node is not None and not process.retired else None

    def generation(self, number: int, replicas: Sequence[str], joins: Sequence[str], witness: str = "w") -> Assignment:
        """Returns a generation of the area."""
        return builders.assignment(*replicas, witness, spec=self._spec, generation=number, joins=joins)

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        end = self.clock.now + seconds
        while self.network.events and self.network.events[0][0] <= end:
            when, _serial, name = heapq.heappop(self.network.events)
            self.clock.now = max(self.clock.now, when)
            if self.clock.now >= self._next_send:
                self._next_send = self.clock.now + 0.03
                self.client.send(self.rng, self._awake_replicas())
            if name not in self.network.halted:
                self._drop_same(name, when)
                self.processes[name].turn(self.clock.now)
        self.clock.now = end

    def _drop_same(self, name: str, when: float) -> None:
        """Drops the other events of a process that are due now: one turn serves them all."""
        events = self.network.events
        while events and events[0][2] == name and events[0][0] <= max(when, self.clock.now):
            heapq.heappop(events)

    def _awake_replicas(self) -> list[AreaNode]:
        awake = (p.node for p in self.processes.values() if p.name not in self.network.halted)
        return [node for node in awake if isinstance(node, AreaNode)]

    def active(self) -> SimProcess | None:
        """Returns the active, if exactly one process is active."""
        found = [p for p in self.processes.values() if p.replica is not None and p.replica.active is not None]
        return found[0] if len(found) == 1 else None

    def leader(self) -> AreaNode | None:
        """Returns the node that leads the newest term, also on its way to be the active."""
        nodes = (p.node for p in self.processes.values())
        leading = [node for node in nodes if isinstance(node, AreaNode) and node.replica.leads]
        return max(leading, key=lambda node: node.log.term, default=None)

    def halt(self, name: str) -> None:
        """Halts a process, as SIGSTOP does."""
        self.network.halted.add(name)

    def resume(self, name: str) -> None:
        """Resumes a halted process, as SIGCONT does."""
        self.network.halted.discard(name)
        self.network.schedule(self.clock.now, name)

    def restart(self, name: str) -> None:
        """Starts a process again on its files."""
        process = self.processes[name]
        if process.resources.saved is not None:
            process.start(process.resources.saved)

    def settle(self, repair: Callable[[], None], seconds: float = 20.0) -> None:
        """Repairs everything; the pair must become redundant in time, with equal states."""
        self.settling = True
        self.network.cut.clear()
        for process in self.processes.values():
            process.faults.next, process.faults.always, process.faults.unstartable = [], None, False
        for name in sorted(self.network.halted):
            self.resume(name)
        end = self.clock.now + seconds
        while not self.redundant() or self.replacing:
            if self.clock.now > end:
                raise Violation(f"not redundant {seconds} s after everything was repaired:\n{self.picture()}")
            self.run(0.1)
            repair()
            for name in self.members():
                if self.processes[name].membership is None:
                    self.restart(name)
        self.run(0.5)

    def newest(self) -> Assignment:
        """Returns the newest generation that was opened, so that it has voters."""
        opened = [
            saved
            for p in self.processes.values()
            if (saved := p.resources.saved) is not None and p.name not in saved.joins and not p.retired
        ]
        return max(opened, key=lambda a: a.generation)

    def members(self) -> tuple[str, ...]:
        """Returns the names of the newest generation's members."""
        return tuple(m.replica for m in self.newest().members())

    def redundant(self) -> bool:
        """Returns whether there is one active, a passive that could take over, and three voters."""
        active = self.active()
        if active is None or active.replica is None or active.membership is None:
            return False
        replicas = [self.processes[m.replica].replica for m in active.membership.assignment.replicas]
        if any(self.processes[m.replica].membership is None for m in active.membership.assignment.members()):
            return False
        passive = next(m.replica for m in active.membership.assignment.replicas if m.replica != active.name)
        if not active.replica.log.reaches(active.replica.publisher.acked(passive)):
            return False
        return all(
            r is not None and r.can_simulate() and r.log.tick >= active.replica.log.tick - 2 for r in replicas
        ) and all(self.processes[m.replica].membership.group.voter for m in active.membership.assignment.members())  # type: ignore[union-attr]

    def picture(self) -> str:
        """Describes all processes, for the message of a failure."""
        lines = []
        for name, p in self.processes.items():
            if p.membership is None:
                lines.append(f"{name}: down")
                continue
            group, log = p.membership.group, p.replica.log if p.replica else None
            lines.append(
                f"{name}: gen {p.membership.assignment.generation} {group._raft.state.name} term {group.term}"
                f" leader {group.leader} voter {group.voter} last {group._raft.last} links {sorted(group.links)}"
                + (
                    f" tick {log.tick} state {p.replica.state.tick} valid {p.replica.state.valid}"
                    f" doubt {p.replica.state.unconfirmed_term} can_simulate {p.replica.can_simulate()}"
                    if log and p.replica
                    else ""
                )
            )
        return "\n".join(lines)

    def check_end(self) -> None:
        """Checks after `settle` that every acknowledged command is in the log and that no replica diverged."""
        for name, process in self.processes.items():
            if process.replica is not None and process.replica.state.divergences:
                raise Violation(f"{name} diverged {process.replica.state.divergences} times")
        lost = [i for i, result in self.oracle.acked.items() if self.oracle.ran.get(i) != result.tick]
        if lost:
            raise Violation(f"acknowledged commands are lost: {lost[:5]}")
        ticks = sorted(self.oracle.records)
        if ticks != list(range(1, len(ticks) + 1)):
            raise Violation("committed ticks have a gap")
