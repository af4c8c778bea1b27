"""Who simulates what: a pure function from what is seen to what is to be done.

It is level-based: called again with the same view it says the same, and what is missing is said until it is so.

Invariants (each is a property test):
    1. It never acts on a guess. A member that cannot be reached is not lost; it is lost when the backend says that
       its process is gone, or when it has been silent for `GRACE` while the active and the third member agree on the
       generation in force.
    2. With all members of an area out of reach it does nothing but say so.
    3. An area is founded once. Afterwards its members change by one at a time, to the next generation, and only
       through its active.
    4. A spare is promised to one area.
    5. Labels: demote first, promote second; a lower term never takes the label from a higher one.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from controller.facts import Facts, member
from controller.labels import label_actions
from controller.view import Action, Adopt, Assign, Forget, Release, Remind, Say, View
from pairsim.model.assignment import AreaSpec, Assignment, Member, ReplicaStatus, Role


def decide(view: View) -> tuple[Action, ...]:
    """What to do, in this order."""
    return tuple(_Decision(view).actions())


class _Decision:
    """One call; keeps track of the spares and witnesses that are promised in it."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._facts = Facts(view)
        promised = {m.replica for a in view.recorded.values() for m in a.members()}
        self._spares = [
            p for _name, p in sorted(view.processes.items())
            if p.replica is not None and p.replica.role is Role.SPARE and p.name not in promised
        ]  # fmt: skip
        self._witnesses = {p.name: p for p in view.processes.values() if p.witness is not None}
        self._load = dict.fromkeys(self._witnesses, 0)
        for assignment in view.recorded.values():
            if assignment.witness.replica in self._load:
                self._load[assignment.witness.replica] += 1

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
        current = self._facts.in_force(recorded)
        if current is None:
            yield Say(spec.area, "no member can be reached that knows its generation: nothing is changed until one can")
            return
        if current.generation > recorded.generation or (
            current.generation == recorded.generation and current != recorded
        ):
            yield Adopt(current)
            recorded = current
        if current.generation == 1 and not self._facts.begun(current):
            yield from self._begin(current)
            return
        yield from self._made_whole(current, recorded)
        if current.generation < recorded.generation:
            yield from self._carry_on(current, recorded)
        elif self._facts.lost(current):
            yield from self._replace(current)
        yield from self._strays(current, recorded)

    def _found(self, spec: AreaSpec) -> Iterator[Action]:
        if not self._witnesses:
            yield Say(spec.area, "waits for a witness that can be reached")
        elif len(self._spares) < 2:
            yield Say(spec.area, f"waits for two spare simulators, there are {len(self._spares)}")
        else:
            witness = self._take_witness()
            first, second = self._spares.pop(0), self._spares.pop(0)
            members = (member(first), member(second))
            assignment = Assignment(spec=spec, generation=1, replicas=members, witness=witness)
            yield Assign(assignment, (first.name, second.name, witness.replica))

    def _begin(self, current: Assignment) -> Iterator[Action]:
        """Founders that have not heard of it; or other founders, if one is gone before there was a first term."""
        area = current.spec.area
        others = [m.replica for m in current.members() if m.replica in self._view.processes]
        if not all(self._facts.answers(name) for name in others):
            # Whoever is silent may have a history to tell.
            yield Say(area, "waits for all founders: nothing is begun until each of them can be reached")
        elif len(others) == 3:
            blank = tuple(self._facts.blank(current))
            if blank:
                yield Remind(current, blank)
        elif holders := self._facts.holders(area):
            yield from (Release(name, area) for name in holders)
        else:
            yield Forget(area)

    def _made_whole(self, current: Assignment, recorded: Assignment) -> Iterator[Action]:
        """Members that came back without their folder get the area again; they don't vote until they have caught up."""
        blank = self._facts.blank(current)
        if all(m.replica in blank for m in current.replicas):
            yield Say(current.spec.area, "both replicas came back without their state: it can only come from a backup")
            return
        staying = tuple(name for name in blank if recorded.member(name) is not None)
        if staying:
            # Whoever was a newcomer once is none now: the generation is in force.
            yield Remind(msgspec.structs.replace(current, joins=()), staying)

    # --- a generation that is on its way

    def _carry_on(self, current: Assignment, following: Assignment) -> Iterator[Action]:
        """Says the next generation to its members until it is in force, or gives it up when it cannot be."""
        active = self._facts.active(current)
        if active is None:
            yield Say(current.spec.area, "waits for an active to bring a new member in")
        elif following.member(active.replica) is None or any(self._facts.unfit(n, current) for n in following.joins):
            # Who was to be replaced is back and active, or who was to replace it is lost itself.
            if self._facts.confirmed(current):
                yield Adopt(current)
        else:
            yield Assign(following, (*following.joins, active.replica))

    def _replace(self, current: Assignment) -> Iterator[Action]:
        area = current.spec.area
        lost = self._facts.lost(current)
        active = self._facts.active(current)
        if len(lost) > 1:
            yield Say(area, f"{' and '.join(lost)} are lost: it waits until one of them is back")
        elif active is None:
            yield Say(area, f"{lost[0]} is lost, and no active can be reached to replace it")
        elif lost[0] == current.witness.replica:
            yield self._with_another_witness(current, active)
        else:
            yield from self._with_a_spare(current, active, lost[0])

    def _with_a_spare(self, current: Assignment, active: ReplicaStatus, lost: str) -> Iterator[Action]:
        area = current.spec.area
        if not self._spares:
            back = "it is restarted where it was" if lost in self._view.processes else "add a simulator"
            yield Say(area, f"{lost} is lost and there is no spare: {back}")
            return
        spare = self._spares.pop(0)
        survivor = next(m for m in current.replicas if m.replica != lost)
        following = Assignment(
            spec=current.spec,
            generation=current.generation + 1,
            replicas=(survivor, member(spare)),
            witness=current.witness,
            joins=(spare.name,),
        )
        yield Assign(following, (spare.name, active.replica))

    def _with_another_witness(self, current: Assignment, active: ReplicaStatus) -> Action:
        witness = self._take_witness(besides=current.witness.replica)
        following = Assignment(
            spec=current.spec,
            generation=current.generation + 1,
            replicas=current.replicas,
            witness=witness,
            joins=(witness.replica,),
        )
        return Assign(following, (witness.replica, active.replica))

    def _take_witness(self, besides: str = "") -> Member:
        """The one with the least areas; there is one."""
        name = min(self._witnesses.keys() - {besides}, key=lambda name: (self._load[name], name))
        self._load[name] += 1
        return member(self._witnesses[name])

    # --- what should not be

    def _strays(self, current: Assignment, recorded: Assignment) -> Iterator[Action]:
        """Processes that have the area and are no members of it."""
        members = {m.replica for a in (current, recorded) for m in a.members()}
        area = current.spec.area
        yield from (Release(name, area) for name in self._facts.holders(area) if name not in members)

    def _unwanted(self, wanted: set[str]) -> Iterator[Action]:
        for area in sorted((self._facts.held() | self._view.recorded.keys()) - wanted):
            holders = self._facts.holders(area)
            yield from (Release(name, area) for name in holders)
            recorded = self._view.recorded.get(area)
            if recorded is None or holders:
                continue
            left = [m.replica for m in recorded.members() if m.replica in self._view.processes]
            if all(self._facts.answers(name) for name in left):
                yield Forget(area)
