"""The processes of one area: a pair, its witness and spares, on a network that other areas may share."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.borders.messages import UNLIMITED_ROOM
from pairsim.model.simulation.simulator import Simulator
from pairsim.replication.replica.node import AreaNode
from pairsim.settings import Timing
from tests import builders
from tests.simulation.area import Counters
from tests.simulation.engines import EngineFaults
from tests.simulation.network import Network
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.process import TIMING, Peripheral, SimProcess
from tests.simulation.streams import Streams

REPLICAS, WITNESS = ("a", "b"), "w"
SPARES = ("s1", "s2", "0")
"""The member with the smaller name dials, so one spare is before and two are after the initial members."""


class Pair:
    """The processes of an area.

    Attributes:
        spec: The area.
        network: The network, on which names of processes are unique.
        rng: The source of all chance of the run.
        oracle: The oracle of the area.
        processes: The processes by name.
        everyone: The names of all processes on the network.
        initial: The names of the members of the first generation; the witness is the last one.
        spares: The names of the others.
        assignment: The first generation.
        poison: The ids of the commands at which engines raise.
        code, codes: The code in the files of all processes, and of those that have other code.
        room: How many entities the table may have when others arrive.
        replacing: Whether a member is being replaced.
        settling: Whether everything was repaired.
    """

    def __init__(
        self,
        spec: AreaSpec,
        *,
        network: Network,
        rng: random.Random,
        oracle: Oracle,
        peripherals: Sequence[Peripheral] = (),
        simulator: type[Simulator] = Counters,
        suffix: str = "",
        timing: Timing = TIMING,
        reads_often: bool = True,
    ) -> None:
        """Makes the processes; `start` starts the members.

        Args:
            spec: The area.
            network: The network.
            rng: The source of chance.
            oracle: The oracle of the area.
            peripherals: What else replicas send over the network, beside the state streams.
            simulator: The simulator of the area; its entities have a component `value`.
            suffix: The end of the names of all processes.
            timing: The timers of Raft.
            reads_often: Whether the state is read also where nothing has changed.
        """
        self.spec, self.network, self.rng, self.oracle = spec, network, rng, oracle
        self.streams = Streams(network)
        self.clock = network.clock
        self.poison: set[str] = set()
        self.code, self.codes = "written", dict[str, str]()
        self.room = UNLIMITED_ROOM
        self.initial = tuple(name + suffix for name in (*REPLICAS, WITNESS))
        self.spares = tuple(name + suffix for name in SPARES)
        self.processes = {
            name: SimProcess(
                name,
                network=network,
                oracle=oracle,
                peripherals=(self.streams, *peripherals),
                published_by=self.published_by,
                faults=EngineFaults(self.poison, functools.partial(self._code_of, name)),
                simulator=simulator,
                spec=spec,
                room=lambda: self.room,
                timing=timing,
                reads_often=reads_often,
            )
            for name in (*self.initial, *self.spares)
        }
        self.everyone = tuple(self.processes)
        self.assignment = self.generation(1, self.initial[:2], ())
        self.replacing = self.settling = False

    def start(self) -> None:
        """Starts the members of the first generation."""
        for name in self.initial:
            self.processes[name].start(self.assignment)

    def _code_of(self, name: str) -> str:
        """Returns the code in the files of a process."""
        return self.codes.get(name, self.code)

    def published_by(self, name: str) -> Assignment | None:
        """Returns the generation that a process names to others; None while it is down or retired."""
        process = self.processes[name]
        return process.resources.published if process.node is not None and not process.retired else None

    def generation(self, number: int, replicas: Sequence[str], joins: Sequence[str], witness: str = "") -> Assignment:
        """Returns a generation of the area."""
        return builders.assignment(
            *replicas, witness or self.initial[2], spec=self.spec, generation=number, joins=joins
        )

    def awake_replicas(self) -> list[AreaNode]:
        """Returns the replicas that are not halted."""
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

    def repair(self) -> None:
        """Ends the faults of all processes but those that are down."""
        self.settling = True
        self.empty()
        for process in self.processes.values():
            process.faults.next, process.faults.always, process.faults.unstartable = [], None, False
        for name in sorted(self.network.halted & self.processes.keys()):
            self.resume(name)

    def empty(self) -> None:
        """Lets the tables of the area have any number of entities."""
        self.room = UNLIMITED_ROOM

    def restart_members(self) -> None:
        """Starts the members that are down."""
        for name in self.members():
            if self.processes[name].membership is None:
                self.restart(name)

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
