"""A seeded sequence of faults over one area, ending with repair and the final checks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from pairsim.replication.service import NotActiveError, RefusedError
from tests.simulation.engines import MENDED, UPDATED, EngineFault
from tests.simulation.network import Clock
from tests.simulation.oracle import Violation
from tests.simulation.pair import Pair
from tests.simulation.process import SimProcess
from tests.simulation.world import World


class Repairs:
    """What is repaired some time after a fault."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._planned: list[tuple[float, Callable[[], None]]] = []

    def later(self, delay: float, repair: Callable[[], None]) -> None:
        self._planned.append((self._clock.now + delay, repair))

    def do_due(self) -> None:
        now = self._clock.now
        due = [r for r in self._planned if r[0] <= now]
        self._planned = [r for r in self._planned if r[0] > now]
        for _when, repair in due:
            repair()


class Nemesis:
    """Injects faults by chance, and repairs each after a while.

    Attributes:
        settle_seconds: The time in which the pair becomes redundant after all repairs.
    """

    settle_seconds = 20.0

    def __init__(self, world: Pair) -> None:
        self.world = world
        self.rng = world.rng
        self.done: list[str] = []
        self._repairs = Repairs(world.clock)
        self._amnesiac: str | None = None
        self._spares = list(world.spares)
        self._following = world.assignment

    def later(self, delay: float, repair: Callable[[], None]) -> None:
        self._repairs.later(delay, repair)

    def repair_due(self) -> None:
        self._repairs.do_due()
        self._reclaim()

    def _reclaim(self) -> None:
        """Makes retired processes spares again, without their files."""
        for name, process in self.world.processes.items():
            if process.retired and process.membership is not None:
                process.crash(lose_disk=True)
                process.retired = False
                self.world.network.halted.discard(name)
                self._spares.append(name)

    def strike(self) -> None:
        """Injects one fault."""
        choices = [
            self.crash_active, self.crash_active, self.crash_passive, self.crash_witness, self.halt_one, self.halt_one,
            self.cut_pair, self.cut_one_way, self.isolate, self.isolate_active, self.switch, self.lag_then_kill,
            self.replace, self.lose_disk, self.crash_both, self.run_ahead_then_halt,
        ]  # fmt: skip
        fault = self.rng.choice(choices)
        self.done.append(f"{self.world.clock.now - 1000:.3f} {fault.__name__}")
        fault()

    def _members(self) -> list[str]:
        return list(self.world.members())

    def _role(self, active: bool) -> str | None:
        process = self.world.active()
        if process is None or process.membership is None:
            return None
        if active:
            return process.name
        return next(m.replica for m in process.membership.assignment.replicas if m.replica != process.name)

    def _crash(self, name: str | None, back: float | None = None) -> None:
        if name is None or self.world.processes[name].membership is None:
            return
        self.world.processes[name].crash()
        self.world.network.halted.discard(name)
        self.later(self.rng.uniform(0.02, 1.5) if back is None else back, lambda: self._restart(name))

    def _restart(self, name: str) -> None:
        if self.world.processes[name].membership is None:
            self.world.restart(name)

    def crash_active(self) -> None:
        self._crash(self._role(True))

    def crash_passive(self) -> None:
        self._crash(self._role(False))

    def crash_witness(self) -> None:
        self._crash(self.world.newest().witness.replica)

    def crash_both(self) -> None:
        self._crash(self._role(True))
        self._crash(self._role(False))
        for name in self.world.initial[:2]:
            self._crash(name)

    def halt_one(self) -> None:
        name = self.rng.choice(self._members())
        self.world.processes[name].resources.starved = self.rng.random() < 0.5
        self.world.halt(name)
        self.later(self.rng.uniform(0.03, 2.0), lambda: self.world.resume(name))

    def run_ahead_then_halt(self) -> None:
        """Lets the active compute ticks that nobody receives, then halts it until another one has replaced them.

        Messages of the new leader wait in its sockets, so that it learns in one turn of the end of its leadership, of
        the records that replaced its own, and of their commit.
        """
        active = self._role(True)
        if active is None:
            return
        unsent = {(active, other) for other in self.world.everyone if other != active}
        self.world.network.cut |= unsent
        world = self.world

        def wake() -> None:
            world.network.cut.difference_update(unsent)
            world.resume(active)

        def halt() -> None:
            world.halt(active)
            self.later(self.rng.uniform(0.2, 1.0), wake)

        self.later(self.rng.uniform(0.03, 0.15), halt)

    def _cut(self, pairs: set[tuple[str, str]]) -> None:
        self.world.network.cut |= pairs
        self.later(self.rng.uniform(0.1, 3.0), lambda: self.world.network.cut.difference_update(pairs))

    def cut_pair(self) -> None:
        a, b = self.rng.sample(self._members(), 2)
        self._cut({(a, b), (b, a)})

    def cut_one_way(self) -> None:
        a, b = self.rng.sample(self._members(), 2)
        self._cut({(a, b)})

    def isolate(self) -> None:
        self._isolate(self.rng.choice(self._members()))

    def isolate_active(self) -> None:
        self._isolate(self._role(True) or self.world.initial[0])

    def _isolate(self, name: str) -> None:
        others = set(self.world.everyone) - {name}
        self._cut({(name, other) for other in others} | {(other, name) for other in others})

    def switch(self) -> None:
        process = self.world.active()
        passive = self._role(False)
        if process is not None and process.replica is not None and process.replica.active is not None and passive:
            active = process.replica.active
            if active.handover is None:
                active.request_handover(passive, None, self.world.clock.now + 1.0)

    def lag_then_kill(self) -> None:
        """Halts the passive while the active commits with the witness; then kills the active as the passive wakes."""
        passive, active = self._role(False), self._role(True)
        if passive is None or active is None:
            return
        self.world.halt(passive)

        def turn_over() -> None:
            self._crash(active)
            self.world.resume(passive)

        self.later(self.rng.uniform(0.1, 4.0), turn_over)

    def lose_disk(self) -> None:
        """Restarts one member without its disk, only while all others have theirs: two lost disks may lose records.

        A newcomer has nothing on its disk yet, so it counts as a member without a disk.
        """
        if self.world.replacing:
            return
        members = self._members()
        whole = [n for n in members if (m := self.world.processes[n].membership) is not None and m.group.voter]
        if self._amnesiac not in {None, *whole} or len(whole) < 3 or not self.world.redundant():
            return
        self._amnesiac = name = self.rng.choice(members)
        process = self.world.processes[name]
        assignment = process.resources.saved
        process.crash(lose_disk=True)

        def back() -> None:
            current = self.world.newest()
            if process.membership is None and assignment is not None and current.member(name) is not None:
                process.start(current)
                if process.membership is None:  # it cannot create a state without an engine: it is asked again
                    self.later(0.5, back)

        self.later(self.rng.uniform(0.02, 1.0), back)

    def replace(self) -> None:
        """Replaces the passive or the witness by a spare; the old member dies, returns too late, or leaves alive."""
        active = self.world.active()
        if not self._spares or active is None or active.membership is None or self.world.replacing:
            return
        current = active.membership.assignment
        lost = self._role(False) if self.rng.random() < 0.6 else current.witness.replica
        assert lost is not None
        spare = self._spares.pop(self.rng.randrange(len(self._spares)))
        if self.rng.random() < 0.7:
            self.world.processes[lost].crash()
        self.world.replacing = True
        first, second, witness = (spare if m.replica == lost else m.replica for m in current.members())
        following = self.world.generation(current.generation + 1, (first, second), (spare,), witness)
        self.world.processes[spare].start(following)
        self.later(0.0, lambda: self._advance(following.generation))
        self.later(self.rng.uniform(0.0, 4.0), lambda: self._restart(lost))
        self._following = following

    def _advance(self, generation: int) -> None:
        """Repeats the assignment until it is in force, as the controller does."""
        active = self.world.active()
        following = self._following
        if active is not None and active.replica is not None and active.membership is not None:
            if active.membership.assignment.generation >= generation:
                self.world.replacing = False
                return
            if active.name not in {m.replica for m in following.members()}:
                if self.world.redundant():  # the lost member is back, and active: it need not be replaced
                    self.world.processes[following.joins[0]].crash(lose_disk=True)
                    self._spares.append(following.joins[0])
                    self.world.replacing = False
                    return
            elif active.replica.active is not None and active.replica.active.handover is None:
                peer = next(m.replica for m in following.replicas if m.replica != active.name)
                active.replica.active.request_handover(peer, following, self.world.clock.now + 2.0)
        spare = self.world.processes[following.joins[0]]
        if spare.membership is None:
            spare.start(spare.resources.saved or following)
        self.later(0.2, lambda: self._advance(generation))


class EngineNemesis(Nemesis):
    """Injects faults of engines besides. A tick that failed often is tried again after a minute only."""

    settle_seconds = 90.0

    def strike(self) -> None:
        if self.rng.random() < 0.5:
            super().strike()
            return
        fault = self.rng.choice(
            [self.fail_engine, self.fail_engine, self.end_engine, self.fail_everywhere, self.break_code]
        )
        self.done.append(f"{self.world.clock.now - 1000:.3f} {fault.__name__}")
        fault()

    def _engine_of(self) -> SimProcess | None:
        name = self._role(self.rng.random() < 0.7)
        return self.world.processes[name] if name is not None else None

    def fail_engine(self) -> None:
        """Lets the next calls of one engine fail, each in its own way."""
        process = self._engine_of()
        if process is not None:
            process.faults.next += self.rng.choices(list(EngineFault), k=self.rng.choice((1, 1, 2, 3)))

    def end_engine(self) -> None:
        process = self._engine_of()
        if process is not None:
            process.end_engine()

    def break_code(self) -> None:
        """Lets no engine of a process start for a while, and often restarts the process."""
        process = self._engine_of()
        if process is None:
            return
        process.faults.unstartable = True
        self.later(self.rng.uniform(0.2, 6.0), lambda: setattr(process.faults, "unstartable", False))
        if self.rng.random() < 0.7:
            self._crash(process.name)
        else:
            process.end_engine()

    def fail_everywhere(self) -> None:
        """Lets every tick fail on every replica for a while, so that the area pauses."""
        fault = self.rng.choice(list(EngineFault))

        def set_fault(fault: EngineFault | None) -> None:
            for process in self.world.processes.values():
                process.faults.always = fault

        set_fault(fault)
        self.later(self.rng.uniform(0.2, 3.0), lambda: set_fault(None))


class OrderNemesis(EngineNemesis):
    """Lets commands fail on every replica, at once or after their tick was seen, and orders skips at any moment."""

    world: World

    def strike(self) -> None:
        if self.rng.random() < 0.4:
            super().strike()
            return
        fault = self.rng.choice([self.poison_a_command, self.poison_the_past, self.skip, self.skip, self.mend])
        self.done.append(f"{self.world.clock.now - 1000:.3f} {fault.__name__}")
        fault()

    def poison_a_command(self) -> None:
        """Lets the next command fail wherever it is computed, until it is left out."""
        self.world.poison.add(self.world.client.next_id)

    def poison_the_past(self) -> None:
        """Lets a command fail that was computed just now, and kills the active; the fault passes."""
        tick = self.world.rng.choice(sorted(self.world.oracle.records)[-2:] or [0])
        record = self.world.oracle.records.get(tick)
        if record is None or not record.commands:
            return
        command = record.commands[0].id
        if command not in self.world.poison:
            self.world.poison.add(command)
            self.later(self.rng.uniform(0.5, 6.0), lambda: self.world.poison.discard(command))
            self._crash(self._role(True))

    def mend(self) -> None:
        """Orders that the engines start again, now and then after the simulator was mended."""
        leader = self.world.leader()
        if self.rng.random() < 0.3:
            self.world.code = MENDED
        if leader is not None:
            with contextlib.suppress(NotActiveError, RefusedError):
                leader.request_order(None)

    def lose_disk(self) -> None:
        """Does nothing: a replica that lost its disk has forgotten what it showed."""

    def skip(self) -> None:
        """Orders that a command of the last tick is left out; the leader decides whether it can be."""
        leader = self.world.leader()
        if leader is None or not leader.log.last_commands:
            return
        commands = [command for command in leader.log.last_commands if command in self.world.poison]
        with contextlib.suppress(NotActiveError, RefusedError):
            leader.request_order(self.rng.choice(commands or list(leader.log.last_commands)))

    def repair_due(self) -> None:
        super().repair_due()
        leader = self.world.leader()
        if self.world.settling and leader is not None:
            if not leader.replica.failures.has_other_code:
                self.skip()
            with contextlib.suppress(NotActiveError, RefusedError):  # in this world, all code computes the same
                leader.request_order(None, even_if_seen=True)


class UpdateNemesis(EngineNemesis):
    """Updates one process after the other to code that computes another state, and orders renewals at any moment."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        for process in world.processes.values():
            process.faults.codes_differ = True

    def strike(self) -> None:
        if self.rng.random() < 0.4:
            super().strike()
            return
        fault = self.rng.choice([self.update, self.update, self.edit, self.renew, self.renew])
        self.done.append(f"{self.world.clock.now - 1000:.3f} {fault.__name__}")
        fault()

    def update(self) -> None:
        """Restarts a replica, which finds the other code then."""
        name = self.rng.choice(("a", "b"))
        self.world.codes[name] = UPDATED
        self._crash(name)

    def edit(self) -> None:
        """Changes the files of a replica while it runs."""
        self.world.codes[self.rng.choice(("a", "b"))] = UPDATED

    def renew(self) -> None:
        leader = self.world.leader()
        if leader is not None:
            with contextlib.suppress(NotActiveError, RefusedError):
                leader.request_order(None)

    def lose_disk(self) -> None:
        """Does nothing: states from before other code cannot be carried on, so that a second loss may be the last."""

    def repair_due(self) -> None:
        super().repair_due()
        leader = self.world.leader()
        if self.world.settling and leader is not None and leader.log.orders.code:
            # Only the code in force can compute ticks that have been seen, if no state of them is left.
            self.world.code, self.world.codes = leader.log.orders.code, {}
            replicas = [process.replica for process in self.world.processes.values()]
            if any(replica is not None and replica.failures.has_other_code for replica in replicas):
                self.renew()


def run(seed: int, seconds: float = 12.0, kind: type[Nemesis] = Nemesis) -> World:
    """Runs one seed; raises `Violation` with the seed and the faults."""
    world = World(seed)
    nemesis = kind(world)
    try:
        world.run(1.0)
        end = world.clock.now + seconds
        strike = world.clock.now
        while world.clock.now < end:
            if world.clock.now >= strike:
                nemesis.strike()
                strike = world.clock.now + world.rng.choice((0.05, 0.3, 1.0, 2.5)) * world.rng.uniform(0.5, 1.5)
            world.run(0.02)
            nemesis.repair_due()
        world.settle(nemesis.repair_due, kind.settle_seconds)
        world.check_end()
    except Violation as violation:
        story = "\n  ".join(nemesis.done)
        raise Violation(f"seed {seed}: {violation}\n  {story}") from violation
    return world
