"""Conclusions from a view of an area: the generation in force, its active, and the members that are lost.

`Facts` only interprets what processes report about themselves; `decide` chooses what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member, unreachable_member
from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase, SimulatorState, WitnessGroup
from pairsim_controller.plan.progress import STALLED_AFTER_SECONDS
from pairsim_controller.plan.view import START_SECONDS, ObservedProcess, Stall, View

LOST_AFTER_SECONDS = 10.0
"""Seconds of silence after which a member may count as lost although its process may still run."""


class Facts:
    """Questions to a view of one area. `current` is always the result of `current_generation`."""

    def __init__(self, view: View) -> None:
        self._view = view

    def current_generation(self, recorded: Assignment) -> Assignment | None:
        """Returns the newest generation that a member reports, with the members' addresses as they are known.

        Returns None if no report counts (see `reported`), except that a new area is taken to be as it was recorded
        while at least one of its members can be reached.
        """
        reported = self.reported(recorded.spec, recorded)
        if reported is None and recorded.generation == 1 and any(self.reachable(m.replica) for m in recorded.members()):
            return recorded
        return reported

    def reported(self, spec: AreaSpec, recorded: Assignment | None = None) -> Assignment | None:
        """Returns the newest generation of an area that any process reports, or None.

        A joining process reports a generation that is not in force yet. So the report of a joining replica, and that of
        a witness which has seen no term, do not count.
        """
        area = spec.area
        found = []
        for process in self._view.processes.values():
            replica, witness = process.replica, process.witness
            if replica is not None and replica.area == area and replica.role is not Role.JOINING:
                found.append((replica.generation, replica.members))
            if witness is not None:
                found += [(g.generation, g.members) for g in witness.areas if g.area == area and g.term > 0]
        found = [(generation, names) for generation, names in found if len(set(names)) == 3]
        if not found:
            return None
        generation, names = max(found)
        if (
            recorded is not None
            and generation == recorded.generation
            and set(names) == {m.replica for m in recorded.members()}
        ):
            return recorded
        known = {m.replica: m for m in recorded.members()} if recorded is not None else {}
        first, second, third = (known.get(name) or self._member_named(name) for name in names)
        return Assignment(spec=spec, generation=generation, replicas=(first, second), witness=third)

    def _member_named(self, name: str) -> Member:
        """Returns a member by name; a process that is gone for good gets an address that can never be in use."""
        process = self._view.processes.get(name)
        return member(process) if process else unreachable_member(name)

    def readdressed(self, assignment: Assignment) -> Assignment:
        """Returns an assignment with the addresses at which its members answer now.

        A member that cannot be reached keeps its address: it may come back there.
        """
        processes = (self._view.processes.get(m.replica) for m in assignment.members())
        return assignment.readdressed([member(p) for p in processes if p is not None and p.reachable and p.peer])

    def misaddressed(self, recorded: Assignment) -> Iterator[tuple[str, Assignment]]:
        """Yields each member that knows another address of a member, with its generation as it should know it."""
        for name, group in self._memberships(recorded.spec.area):
            if len(set(group.addresses)) == len(set(group.members)) == 3:
                first, second, third = map(self._addressed, group.members, group.addresses)
                known = Assignment(
                    spec=recorded.spec, generation=group.generation, replicas=(first, second), witness=third
                )
                present = self.readdressed(known)
                if tuple(m.peer for m in present.members()) != group.addresses:
                    yield name, present

    def _addressed(self, name: str, peer: str) -> Member:
        return msgspec.structs.replace(self._member_named(name), peer=peer)

    def reachable(self, name: str) -> bool:
        """Returns whether a process can be asked."""
        process = self._view.processes.get(name)
        return process is not None and process.reachable

    def active(self, current: Assignment) -> ReplicaStatus | None:
        """Returns the status of the active of this generation with the highest term, or None."""
        found = [
            status for m in current.replicas
            if (status := self._status(m.replica, current)) is not None
            and status.role is Role.ACTIVE and status.generation == current.generation
        ]  # fmt: skip
        return max(found, key=lambda status: status.term, default=None)

    def lost(self, current: Assignment) -> list[str]:
        """Returns the members that will not come back soon enough by themselves, or that serve another area.

        A lost witness counts only if there is another one: the only witness is restarted with its data, which is faster
        than any replacement.
        """
        lost = [m.replica for m in current.members() if self.unfit(m.replica, current)]
        return [n for n in lost if n != current.witness.replica or self._has_other_witness(n)]

    def leaving(self, current: Assignment) -> list[str]:
        """Returns the members that will end soon, in the order of their replacement: the active comes last."""
        active = self.active(current)
        names = [m.replica for m in current.members() if self.is_leaving(m.replica)]
        return sorted(names, key=lambda name: active is not None and name == active.replica)

    def is_leaving(self, name: str) -> bool:
        """Returns whether a process will end soon."""
        process = self._view.processes.get(name)
        return process is not None and process.leaving

    def unfit(self, name: str, current: Assignment) -> bool:
        """Returns whether the area cannot count on a member, or on a process that is to become one.

        A process that ended and was started again is as lost as one that ended, until it is heard: on a busy machine a
        start takes many seconds, in which a spare may turn up.
        """
        process = self._view.processes.get(name)
        if process is None or not process.alive or process.restarted:
            return True
        if process.status is None:
            limit = START_SECONDS if process.starting else LOST_AFTER_SECONDS
            return process.silent_seconds > limit and self.confirmed(current, without=name)
        return process.replica is not None and process.replica.area not in {"", current.spec.area}

    def stalled(self, current: Assignment, names: Iterable[str]) -> Stall | None:
        """Returns the first of these replicas that runs and makes no progress while the active works, or None.

        A replica whose simulator keeps it from its work is not among them: a process in its place would have the same
        problem.
        """
        active = self.active(current)
        if active is None or active.simulator is not None:
            return None
        worked_seconds = self._view.processes[active.replica].working_seconds
        for name in names:
            process = self._view.processes.get(name)
            status = process.replica if process is not None else None
            if process is None or status is None or status.simulator is not None:
                continue
            seconds = min(process.stalled_seconds, worked_seconds)
            if name != active.replica and seconds >= STALLED_AFTER_SECONDS and self.confirmed(current, without=name):
                what = "has made no progress" if status.area else "has not joined"
                return Stall(name, f"{name} runs, but {what} for {seconds:.0f} s")
        return None

    def confirmed(self, current: Assignment, without: str = "") -> bool:
        """Returns whether the active and another member (not `without`) report that this generation is in force.

        One stale replica alone does not know the generations after its own.
        """
        active = self.active(current)
        others = {m.replica for m in current.members()} - {without, active.replica if active else ""}
        return active is not None and any(self._generation(other, current) == current.generation for other in others)

    def lost_state(self, current: Assignment) -> list[str]:
        """Returns the members that can be reached and do not hold the area: they came back without their folder."""
        blank = []
        for name in (m.replica for m in current.members()):
            process = self._view.processes.get(name)
            replica, witness = (process.replica, process.witness) if process else (None, None)
            if (replica is not None and replica.role is Role.SPARE) or (
                witness is not None and all(group.area != current.spec.area for group in witness.areas)
            ):
                blank.append(name)
        return blank

    def has_history(self, current: Assignment) -> bool:
        """Returns whether any member has seen a term of the area: such an area must not be created again."""
        for name in (m.replica for m in current.members()):
            process = self._view.processes.get(name)
            status = self._status(name, current)
            groups = process.witness.areas if process is not None and process.witness is not None else ()
            if (status is not None and max(status.term, status.tick) > 0) or any(
                g.area == current.spec.area and max(g.term, g.tick) > 0 for g in groups
            ):
                return True
        return False

    def has_state(self, area: str) -> bool:
        """Returns whether any replica has a state of the area that differs from the initial one."""
        replicas = [p.replica for p in self._view.processes.values()]
        return any(s is not None and s.area == area and max(s.term, s.tick) > 0 for s in replicas)

    def problems(self, area: str) -> list[tuple[str, str]]:
        """Returns the holders of the area that say why they cannot do their part, by name, with what they say."""
        return [(name, group.problem) for name, group in self._memberships(area) if group.problem]

    def _memberships(self, area: str) -> Iterator[tuple[str, ReplicaStatus | WitnessGroup]]:
        """Yields the holders of the area that can be reached, by name, with what they report of it."""
        for name, process in sorted(self._view.processes.items()):
            groups: tuple[ReplicaStatus | WitnessGroup, ...] = process.witness.areas if process.witness else ()
            for group in (process.replica,) if process.replica is not None else groups:
                if group.area == area:
                    yield name, group

    def kept_from_work(self, *assignments: Assignment) -> list[tuple[str, SimulatorState]]:
        """Returns the members whose simulator compiles, or does not return from a call, by name; never the active."""
        area = assignments[0].spec.area
        names = sorted({m.replica for assignment in assignments for m in assignment.members()})
        replicas = ((n, p.replica) for n in names if (p := self._view.processes.get(n)) is not None)
        return [
            (name, status.simulator) for name, status in replicas
            if status is not None and status.simulator is not None and status.simulator.area == area
            and status.role is not Role.ACTIVE and status.simulator.phase is not SimulatorPhase.REFUSED
        ]  # fmt: skip

    def holders(self, area: str) -> list[str]:
        """Returns the processes that hold the area, whether they are members or not."""
        return [
            name for name, p in sorted(self._view.processes.items())
            if (p.replica is not None and p.replica.area == area)
            or (p.witness is not None and any(g.area == area for g in p.witness.areas))
        ]  # fmt: skip

    def _status(self, name: str, current: Assignment) -> ReplicaStatus | None:
        process = self._view.processes.get(name)
        status = process.replica if process else None
        return status if status is not None and status.area == current.spec.area else None

    def _generation(self, name: str, current: Assignment) -> int | None:
        """Returns the generation of the area that a member is in, or None."""
        process = self._view.processes.get(name)
        if process is not None and process.witness is not None:
            return next((g.generation for g in process.witness.areas if g.area == current.spec.area), None)
        status = self._status(name, current)
        return status.generation if status is not None else None

    def _has_other_witness(self, name: str) -> bool:
        return any(p.name != name for p in self._view.witnesses)


def member(process: ObservedProcess) -> Member:
    """Returns a process as a member of an assignment."""
    return Member(replica=process.name, peer=process.peer, url=process.url)
