"""Who simulates what: a pure function from what is seen to what is to be done.

It is level-based: called again with the same view it says the same, and what is missing is said until it is so.

Invariants (each is a property test):
    1. It never acts on a guess. A replica that cannot be reached is not lost; it is lost when the backend says that
       its process is gone, or when it has been silent for `GRACE` while the active and the witness agree.
    2. With all replicas of an area out of reach it does nothing but say so.
    3. An area is founded once. Afterwards its members change by one at a time, to the next generation, and only
       through its active.
    4. A spare is promised to one area.
    5. Labels: demote first, promote second; a lower term never takes the label from a higher one.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.labels import label_actions
from controller.view import Action, Adopt, Assign, Forget, Process, Release, Say, View
from pairsim.model.assignment import AreaSpec, Assignment, Member, ReplicaStatus, Role

GRACE = 10.0
"""Seconds of silence after which a replica counts as lost although its process may run."""


def decide(view: View) -> tuple[Action, ...]:
    """What to do, in this order."""
    return tuple(_Decision(view).actions())


class _Decision:
    """One call; keeps track of the spares that are promised in it."""

    def __init__(self, view: View) -> None:
        self._view = view
        promised = {m.replica for a in view.recorded.values() for m in a.members()}
        self._spares = [
            p for _name, p in sorted(view.processes.items())
            if p.replica is not None and p.replica.role is Role.SPARE and p.name not in promised
        ]  # fmt: skip

    def actions(self) -> Iterator[Action]:
        wanted = {spec.area for spec in self._view.areas}
        for spec in self._view.areas:
            yield from self._area(spec)
        yield from self._unwanted(wanted)
        yield from label_actions(self._view)

    # --- one area

    def _area(self, spec: AreaSpec) -> Iterator[Action]:
        recorded = self._view.recorded.get(spec.area)
        if recorded is None:
            yield from self._found(spec)
            return
        current = self._in_force(recorded)
        if current is None:
            yield Say(spec.area, "none of its members can be reached: nothing is changed until one can be")
            return
        if current.generation > recorded.generation or (
            current.generation == recorded.generation and current != recorded
        ):
            yield Adopt(current)
            recorded = current
        if current.generation < recorded.generation:
            yield from self._carry_on(current, recorded)
        else:
            yield from self._keep(current)
        yield from self._strays(current, recorded)

    def _found(self, spec: AreaSpec) -> Iterator[Action]:
        witness = self._least_loaded_witness()
        if witness is None:
            yield Say(spec.area, "waits for a witness that can be reached")
        elif len(self._spares) < 2:
            yield Say(spec.area, f"waits for two spare simulators, there are {len(self._spares)}")
        else:
            first, second = self._spares.pop(0), self._spares.pop(0)
            members = (_member(first), _member(second))
            assignment = Assignment(spec=spec, generation=1, replicas=members, witness=_member(witness))
            yield Assign(assignment, (first.name, second.name, witness.name))

    def _in_force(self, recorded: Assignment) -> Assignment | None:
        """The newest generation that a member reports, with the members' addresses as they are known."""
        area = recorded.spec.area
        found = []
        for process in self._view.processes.values():
            replica, witness = process.replica, process.witness
            if replica is not None and replica.area == area and replica.role is not Role.JOINING:
                found.append((replica.generation, replica.members))
            if witness is not None:
                found += [(g.generation, g.members) for g in witness.areas if g.area == area]
        if not found:
            founding = recorded.generation == 1 and any(self._answers(m.replica) for m in recorded.members())
            return recorded if founding else None
        generation, names = max(found)
        if names == tuple(m.replica for m in recorded.members()) and generation == recorded.generation:
            return recorded
        members = [self._known(name, recorded) for name in names]
        if None in members or len(members) != 3:
            return recorded
        first, second, third = (m for m in members if m is not None)
        return Assignment(spec=recorded.spec, generation=generation, replicas=(first, second), witness=third)

    def _known(self, name: str, recorded: Assignment) -> Member | None:
        process = self._view.processes.get(name)
        return recorded.member(name) or (_member(process) if process else None)

    def _answers(self, name: str) -> bool:
        process = self._view.processes.get(name)
        return process is not None and process.alive and process.status is not None

    # --- a generation that is on its way

    def _carry_on(self, current: Assignment, following: Assignment) -> Iterator[Action]:
        """Says the next generation to its members until it is in force, or plans it anew when it cannot be."""
        area = current.spec.area
        newcomers = [self._view.processes.get(name) for name in following.joins]
        if any(p is None or not p.alive for p in newcomers):
            if self._lost(current) or not self._whole(current):
                yield from self._replace(current, following)
            else:
                yield Adopt(current)
            return
        active = self._active(current)
        if active is None:
            yield Say(area, "waits for an active to bring a new member in")
        elif following.member(active.replica) is None:
            yield Adopt(current)  # who was to be replaced is back, and active
        else:
            yield Assign(following, (*following.joins, active.replica))

    # --- a generation that is in force

    def _keep(self, current: Assignment) -> Iterator[Action]:
        """Founders that have not got it, and members that are lost."""
        if current.generation == 1:
            missing = tuple(m.replica for m in current.members() if self._lacks(m.replica, current))
            founded = any(self._has_run(m.replica, current) for m in current.replicas)
            if missing and not founded:
                yield Assign(current, missing)
                return
        lost = self._lost(current)
        if lost:
            yield from self._replace(current, current)

    def _replace(self, current: Assignment, recorded: Assignment) -> Iterator[Action]:
        area = current.spec.area
        lost = self._lost(current)
        active = self._active(current)
        if len(lost) > 1:
            yield Say(area, f"{' and '.join(lost)} are lost: it waits until one of them is back")
        elif not lost:
            return
        elif active is None:
            yield Say(area, f"{lost[0]} is lost, and no active can be reached to replace it")
        elif lost[0] == current.witness.replica:
            yield from self._replace_witness(current, recorded, active)
        elif not self._spares:
            yield Say(area, f"{lost[0]} is lost and there is no spare: it is not redundant until one of both comes")
        else:
            spare = self._spares.pop(0)
            survivor = next(m for m in current.replicas if m.replica != lost[0])
            following = Assignment(
                spec=current.spec,
                generation=recorded.generation + 1 if recorded == current else recorded.generation,
                replicas=(survivor, _member(spare)),
                witness=current.witness,
                joins=(spare.name,),
            )
            yield Assign(following, (spare.name, active.replica))

    def _replace_witness(self, current: Assignment, recorded: Assignment, active: ReplicaStatus) -> Iterator[Action]:
        witness = self._least_loaded_witness(besides=current.witness.replica)
        if witness is None:
            yield Say(current.spec.area, f"its witness {current.witness.replica} is lost and there is no other")
            return
        following = Assignment(
            spec=current.spec,
            generation=current.generation + 1,
            replicas=current.replicas,
            witness=_member(witness),
            joins=(witness.name,),
        )
        yield Assign(following, (witness.name, active.replica))

    # --- what is seen

    def _active(self, current: Assignment) -> ReplicaStatus | None:
        found = [s for m in current.replicas if (s := self._status(m.replica, current)) and s.role is Role.ACTIVE]
        return max(found, key=lambda status: status.term, default=None)

    def _status(self, name: str, current: Assignment) -> ReplicaStatus | None:
        process = self._view.processes.get(name)
        status = process.replica if process else None
        return status if status is not None and status.area == current.spec.area else None

    def _lost(self, current: Assignment) -> list[str]:
        """Members that will not come back by themselves soon enough."""
        agreed = self._active(current) is not None and self._answers(current.witness.replica)
        lost = []
        for member in current.members():
            process = self._view.processes.get(member.replica)
            if process is None or not process.alive:
                lost.append(member.replica)
            elif process.status is None:
                if agreed and process.silent > GRACE:
                    lost.append(member.replica)
            elif self._lacks(member.replica, current):
                lost.append(member.replica)  # it came back without its journal, as a spare
        # The only witness is restarted where it was; that is quicker than anything else.
        return [n for n in lost if n != current.witness.replica or self._least_loaded_witness(besides=n) is not None]

    def _whole(self, current: Assignment) -> bool:
        active = self._active(current)
        return active is not None and active.peer_in_sync

    def _lacks(self, name: str, current: Assignment) -> bool:
        """Whether a process that can be reached does not have the area."""
        process = self._view.processes.get(name)
        if process is None or not process.alive or process.status is None:
            return False
        if process.witness is not None:
            return all(group.area != current.spec.area for group in process.witness.areas)
        return process.replica is not None and process.replica.area != current.spec.area

    def _has_run(self, name: str, current: Assignment) -> bool:
        status = self._status(name, current)
        return status is not None and status.tick > 0

    def _least_loaded_witness(self, besides: str = "") -> Process | None:
        witnesses = [p for p in self._view.processes.values() if p.witness is not None and p.name != besides]
        load = {p.name: 0 for p in witnesses}
        for assignment in self._view.recorded.values():
            if assignment.witness.replica in load:
                load[assignment.witness.replica] += 1
        return min(witnesses, key=lambda p: (load[p.name], p.name), default=None)

    # --- what should not be

    def _strays(self, current: Assignment, recorded: Assignment) -> Iterator[Action]:
        """Processes that have the area and are no members of it."""
        members = {m.replica for a in (current, recorded) for m in a.members()}
        yield from (
            Release(name, current.spec.area) for name in self._holders(current.spec.area) if name not in members
        )

    def _unwanted(self, wanted: set[str]) -> Iterator[Action]:
        areas = {status.area for p in self._view.processes.values() if (status := p.replica) and status.area}
        areas |= {g.area for p in self._view.processes.values() if p.witness for g in p.witness.areas}
        for area in sorted((areas | self._view.recorded.keys()) - wanted):
            holders = self._holders(area)
            yield from (Release(name, area) for name in holders)
            members = self._view.recorded[area].members() if area in self._view.recorded else ()
            if not holders and area in self._view.recorded and all(self._answers(m.replica) for m in members):
                yield Forget(area)

    def _holders(self, area: str) -> list[str]:
        return [
            name for name, p in sorted(self._view.processes.items())
            if (p.replica is not None and p.replica.area == area)
            or (p.witness is not None and any(g.area == area for g in p.witness.areas))
        ]  # fmt: skip


def _member(process: Process) -> Member:
    return Member(replica=process.name, peer=process.peer, url=process.url)
