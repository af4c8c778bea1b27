"""Who simulates what: a pure function from what is seen of an area to what is to be done.

It is level-based: called again with the same view it says the same, and what is missing is said until it is so.

Invariants (each is a property test):
    1. It never acts on a guess. A member that cannot be reached is not lost; it is lost when the backend says that
       its process is gone, or when it has been silent for `GRACE` while the active and the third member agree on the
       generation in force.
    2. With all members of an area out of reach it does nothing but say so.
    3. An area is founded once. Afterwards its members change by one at a time, to the next generation, and only
       through its active.
    4. A spare is promised to one area. Areas are decided one after another: whoever calls this records what was
       assigned before it looks at the next area.
    5. Labels: demote first, promote second; a lower term never takes the label from a higher one.
    6. Who leaves is replaced while it works; if it is the active, it hands over first. Nobody that leaves becomes a
       member.
    7. Of an area whose state is to be kept no member is released before it is backed up, unless there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus
from pairsim_controller.plan.facts import Facts, member
from pairsim_controller.plan.labels import label_actions
from pairsim_controller.plan.slow_time import too_slow
from pairsim_controller.plan.view import (
    Action,
    Adopt,
    Assign,
    BackUp,
    Forget,
    Kind,
    Process,
    Release,
    Remind,
    Say,
    Switchover,
    View,
)


def decide(view: View) -> tuple[Action, ...]:
    """What to do about one area, in this order."""
    work = () if view.paused else tuple(_Decision(view).actions())
    return (*work, *label_actions(view))


class _Decision:
    """One call."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._facts = Facts(view)

    def actions(self) -> Iterator[Action]:
        view = self._view
        if view.spec is None:
            yield from self._unwanted()
        elif view.obstacle:
            yield Say(view.area, view.obstacle)
        elif view.recorded is None:
            yield from self._found(view.spec)
        else:
            yield from self._founded(view.recorded)

    def _founded(self, recorded: Assignment) -> Iterator[Action]:
        area = recorded.spec.area
        current = self._facts.in_force(recorded)
        if current is None:
            yield Say(area, "no member can be reached that knows its generation: nothing is changed until one can")
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
            yield from self._replace_lost(current)
        elif leaving := self._facts.leaving(current):
            yield from self._replace_leaving(current, leaving[0])
        yield from self._strays(current, recorded)
        active = self._facts.active(current)
        if active is not None and (sentence := too_slow(current.spec, active)):
            yield Say(area, sentence, reason="Slow")

    # --- founding

    def _found(self, spec: AreaSpec) -> Iterator[Action]:
        view = self._view
        if (current := self._facts.reported(spec)) is not None:
            yield Adopt(current)  # the record is lost, the area is not
        elif holders := self._facts.holders(spec.area):
            yield Say(
                spec.area, f"{' and '.join(holders)} knows it and has no history of it: make it leave, or restart it"
            )
        elif not view.witnesses:
            yield Say(spec.area, "waits for a witness that can be reached", Kind.WITNESS)
        elif len(view.spares) < 2:
            yield Say(spec.area, f"waits for two spare simulators, there are {len(view.spares)}", Kind.SIMULATOR)
        else:
            witness = self._least_loaded()
            first, second = min(permutations(view.spares, 2), key=lambda pair: _crowding(pair[0], pair[1], witness))
            members = (member(first), member(second))
            assignment = Assignment(spec=spec, generation=1, replicas=members, witness=member(witness))
            yield Assign(assignment, (first.name, second.name, witness.name))

    def _begin(self, current: Assignment) -> Iterator[Action]:
        """Founders that have not heard of it; or other founders, if one is gone before there was a first term."""
        area = current.spec.area
        others = [m.replica for m in current.members() if m.replica in self._view.processes]
        if not all(self._facts.answers(name) for name in others):
            # Whoever is silent may have a history to tell.
            yield Say(area, "waits for all founders: nothing is begun until each of them can be reached")
        elif len(others) == 3:
            blank = tuple(self._facts.blank(current))
            if leaving := [name for name in blank if self._facts.leaves(name)]:
                yield Say(area, f"{leaving[0]} leaves before the area has begun: others are taken when it is gone")
            elif blank:
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
        staying = tuple(name for name in blank if recorded.member(name) is not None and not self._facts.leaves(name))
        if staying:
            # Whoever was a newcomer once is none now: the generation is in force.
            yield Remind(msgspec.structs.replace(current, joins=()), staying)

    # --- a generation that is on its way

    def _carry_on(self, current: Assignment, following: Assignment) -> Iterator[Action]:
        """Says the next generation to its members until it is in force, or gives it up when it cannot be."""
        active = self._facts.active(current)
        if active is None:
            yield Say(current.spec.area, "waits for an active to bring a new member in")
        elif following.member(active.replica) is None or any(
            self._facts.unfit(n, current) or self._facts.leaves(n) for n in following.joins
        ):
            # Who was to be replaced is active (again), or who was to replace it is lost itself or leaves.
            if self._facts.confirmed(current):
                yield Adopt(current)
        else:
            yield Assign(following, (*following.joins, active.replica))

    def _replace_lost(self, current: Assignment) -> Iterator[Action]:
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
            yield from self._with_a_spare(current, active, lost[0], "is lost")

    def _replace_leaving(self, current: Assignment, name: str) -> Iterator[Action]:
        area = current.spec.area
        active = self._facts.active(current)
        if active is None:
            yield Say(area, f"{name} leaves, and no active can be reached to replace it")
        elif name == current.witness.replica:
            if any(p.name != name for p in self._view.witnesses):
                yield self._with_another_witness(current, active)
            else:
                yield Say(area, f"{name} leaves and there is no other witness: add one", Kind.WITNESS)
        elif name != active.replica:
            yield from self._with_a_spare(current, active, name, "leaves")
        elif active.peer_in_sync:
            yield Switchover(name, area)
        else:
            yield Say(area, f"{name} is active and leaves: it waits for its passive to be in sync")

    def _with_a_spare(self, current: Assignment, active: ReplicaStatus, name: str, why: str) -> Iterator[Action]:
        view, area = self._view, current.spec.area
        if not view.spares:
            back = "it is restarted where it was" if why == "is lost" and name in view.processes else "add a simulator"
            yield Say(area, f"{name} {why} and there is no spare: {back}", Kind.SIMULATOR)
            return
        survivor = next(m for m in current.replicas if m.replica != name)
        stays, witness = (view.processes.get(m.replica) for m in (survivor, current.witness))
        spare = min(view.spares, key=lambda p: _crowding(stays, p, witness))
        following = Assignment(
            spec=current.spec,
            generation=current.generation + 1,
            replicas=(survivor, member(spare)),
            witness=current.witness,
            joins=(spare.name,),
        )
        yield Assign(following, (spare.name, active.replica))

    def _with_another_witness(self, current: Assignment, active: ReplicaStatus) -> Action:
        witness = self._least_loaded(besides=current.witness.replica)
        following = Assignment(
            spec=current.spec,
            generation=current.generation + 1,
            replicas=current.replicas,
            witness=member(witness),
            joins=(witness.name,),
        )
        return Assign(following, (witness.name, active.replica))

    def _least_loaded(self, besides: str = "") -> Process:
        """The witness with the least areas; there is one."""
        load = self._view.load
        return min((p for p in self._view.witnesses if p.name != besides), key=lambda p: (load[p.name], p.name))

    # --- what should not be

    def _strays(self, current: Assignment, recorded: Assignment) -> Iterator[Action]:
        """Processes that have the area and are no members of it."""
        members = {m.replica for a in (current, recorded) for m in a.members()}
        area = current.spec.area
        yield from (Release(name, area) for name in self._facts.holders(area) if name not in members)

    def _unwanted(self) -> Iterator[Action]:
        view = self._view
        if view.recorded is not None and view.unsaved and self._has_state(view.recorded):
            yield self._saved(view.recorded)
            return
        holders = self._facts.holders(view.area)
        yield from (Release(name, view.area) for name in holders)
        silent = [name for name in view.processes if not self._facts.answers(name)]
        if silent:
            whom = "it" if len(silent) == 1 else "them"
            yield Say(
                view.area,
                f"{' and '.join(silent)} cannot be asked to let it go: restart {whom}, or delete {whom} for good"
                f" (with the node, if that is gone)",
            )
        elif view.recorded is not None and not holders:
            yield Forget(view.area)

    def _has_state(self, recorded: Assignment) -> bool:
        """Whether somebody has a state of it; a member that cannot be asked may."""
        return self._facts.stateful(recorded.spec.area) or not all(map(self._facts.answers, self._left(recorded)))

    def _saved(self, recorded: Assignment) -> Action:
        """Only an active knows everything that was acknowledged, and one alone may have been replaced."""
        current = self._facts.in_force(recorded)
        active = self._facts.active(current) if current is not None else None
        if current is None or active is None or not self._facts.confirmed(current):
            return Say(recorded.spec.area, "it is not wanted any more, and waits for an active to be backed up")
        return BackUp(active.replica, recorded.spec.area)

    def _left(self, recorded: Assignment) -> list[str]:
        """Members whose process is not gone for good."""
        return [m.replica for m in recorded.members() if m.replica in self._view.processes]


def _crowding(one: Process | None, other: Process | None, witness: Process | None) -> tuple[bool, int]:
    """How much fails with one machine; least is best, the order of names decides among equals.

    A machine that takes two of the three stops the area. If it takes both replicas, their state is gone as well.
    """
    nodes = [p.node if p is not None else "" for p in (one, other, witness)]
    known = [node for node in nodes if node]
    return nodes[0] != "" and nodes[0] == nodes[1], len(known) - len(set(known))
