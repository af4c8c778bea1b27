"""Which processes simulate an area: a pure function from a view of the area to the actions to take.

The function is level-based: it returns the same actions for the same view, and repeats an action until the view shows
its effect.

Invariants (numbers 1 to 5 and 7 have property tests, number 6 has rule tests):
    1. It never acts on a guess. A member that cannot be reached is not lost. A member is lost when the backend says
       that its process ended (and the one started in its place is not heard yet), or when it was silent for
       `LOST_AFTER_SECONDS` while the active and the third member agree on the generation in force.
    2. With all members of an area out of reach it only reports that.
    3. An area is created once. Afterwards its members change one at a time, to the next generation, and only through
       its active.
    4. A spare is promised to one area. Areas are decided one after another: the caller records an assignment before it
       takes the view of the next area.
    5. A member that is shutting down is replaced while it still serves; an active hands over first. A process that is
       shutting down never becomes a member.
    6. If the state of an area has to be kept, no member is released before the backup. An area without any state needs
       none.
    7. A replica that runs and is useless is replaced: one that makes no progress for `STALLED_AFTER_SECONDS` while the
       active works and a spare is free. The pauses between such replacements grow, and none follows from a problem
       that the spare would have as well.

Labels have invariants of their own, in `plan.labels`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus
from pairsim_controller.plan.facts import Facts, member
from pairsim_controller.plan.slow_time import slow_message
from pairsim_controller.plan.view import (
    Action,
    AdoptReported,
    Assign,
    BackUp,
    DropRecord,
    Kind,
    ObservedProcess,
    Release,
    Report,
    ResendAssignment,
    Stall,
    Switchover,
    View,
)


def decide(view: View) -> tuple[Action, ...]:
    """Returns the actions to take for one area, in this order; none while the area is paused."""
    return () if view.paused else tuple(_Decision(view).actions())


class _Decision:
    """One call of `decide`."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._facts = Facts(view)

    def actions(self) -> Iterator[Action]:
        view = self._view
        if view.spec is None:
            yield from self._retire_area()
        elif view.blocked_reason:
            yield Report(view.area, view.blocked_reason)
        elif view.recorded is None:
            yield from self._bootstrap(view.spec)
        else:
            yield from self._maintain(view.recorded)

    def _maintain(self, recorded: Assignment) -> Iterator[Action]:
        area = recorded.spec.area
        yield from (Report(area, f"{name}: {problem}") for name, problem in self._facts.problems(area))
        yield from self._readdress(recorded)
        present = self._facts.readdressed(recorded)
        if present != recorded:
            yield AdoptReported(present)
            recorded = present
        current = self._facts.current_generation(recorded)
        if current is None:
            yield Report(
                area, "no member can be reached that knows its generation: nothing is changed until one answers"
            )
            return
        if current.generation > recorded.generation or (
            current.generation == recorded.generation and current != recorded
        ):
            yield AdoptReported(current)
            recorded = current
        if current.generation == 1 and not self._facts.has_history(current):
            yield from self._await_bootstrap(current)
            return
        yield from self._readmit_blank(current, recorded)
        if current.generation < recorded.generation:
            yield from self._advance_transition(current, recorded)
        elif self._facts.lost(current):
            yield from self._replace_lost(current)
        elif leaving := self._facts.leaving(current):
            yield from self._replace_leaving(current, leaving[0])
        elif stall := self._facts.stalled(current, (m.replica for m in current.replicas)):
            yield from self._replace_stalled(current, stall)
        yield from self._release_strays(current, recorded)
        yield from self._report_simulators(current, recorded)
        active = self._facts.active(current)
        if active is not None and (message := slow_message(current.spec, active, self._view.command_options)):
            cause = active.simulator.cause if active.simulator is not None else ""
            yield Report(area, message, reason="Slow", cause=cause)

    def _readdress(self, recorded: Assignment) -> Iterator[Action]:
        """Sends the addresses at which the members answer now to members that know other ones.

        An address does not identify a member: a link is accepted for a name, a generation and the secret. So the
        members of a generation may learn of addresses whatever is in force, and without a majority, which they may lack
        because of the addresses.
        """
        for name, assignment in self._facts.misaddressed(recorded):
            yield ResendAssignment(assignment, (name,))

    def _report_simulators(self, *assignments: Assignment) -> Iterator[Action]:
        """Reports members that the code of a simulator keeps from their work."""
        for name, state in self._facts.kept_from_work(*assignments):
            advice = state.advice(self._view.command_options)
            message = f"{name} {state.predicate}" + (f"; {advice}" if advice else "")
            reason = state.phase.value.title().replace("-", "")
            yield Report(assignments[0].spec.area, message, reason=reason, cause=state.cause)

    # --- creation

    def _bootstrap(self, spec: AreaSpec) -> Iterator[Action]:
        view = self._view
        if (current := self._facts.reported(spec)) is not None:
            yield AdoptReported(current)  # the record is lost, the area is not
        elif holders := self._facts.holders(spec.area):
            know, them = ("knows the area and has", "it") if len(holders) == 1 else ("know the area and have", "them")
            yield Report(
                spec.area, f"{' and '.join(holders)} {know} no history of it: make {them} leave, or restart {them}"
            )
        elif not view.witnesses:
            yield Report(spec.area, "waits for a witness that can be reached", Kind.WITNESS)
        elif len(view.spares) < 2:
            yield Report(spec.area, f"waits for two spare simulators, there are {len(view.spares)}", Kind.SIMULATOR)
        elif view.may_bootstrap:
            witness = self._least_loaded_witness()
            first, second = min(
                permutations(view.spares, 2), key=lambda pair: _placement_cost(pair[0], pair[1], witness)
            )
            members = (member(first), member(second))
            assignment = Assignment(spec=spec, generation=1, replicas=members, witness=member(witness))
            yield Assign(assignment, (first.name, second.name, witness.name))

    def _await_bootstrap(self, current: Assignment) -> Iterator[Action]:
        """Repeats the first assignment to members that lack it.

        If a member is gone for good before there was a first term, the others are released and the record is dropped.
        """
        area = current.spec.area
        remaining = self._remaining(current)
        if not all(map(self._facts.reachable, remaining)):
            # A member that cannot be reached may have a history of the area.
            yield Report(area, "waits for all first members: nothing begins until each of them can be reached")
        elif len(remaining) == 3:
            blank = tuple(self._facts.lost_state(current))
            if leaving := [name for name in blank if self._facts.is_leaving(name)]:
                yield Report(area, f"{leaving[0]} leaves before the area has begun: it is replaced when it is gone")
            elif blank:
                yield ResendAssignment(current, blank)
            yield from self._report_simulators(current)
        elif holders := self._facts.holders(area):
            yield from (Release(name, area) for name in holders)
        else:
            yield DropRecord(area)

    def _readmit_blank(self, current: Assignment, recorded: Assignment) -> Iterator[Action]:
        """Sends the area again to members that lost their folder; they vote when they have caught up."""
        blank = self._facts.lost_state(current)
        if all(m.replica in blank for m in current.replicas):
            yield Report(
                current.spec.area, "both replicas came back without their state: it can only come from a backup"
            )
            return
        staying = tuple(
            name for name in blank if recorded.member(name) is not None and not self._facts.is_leaving(name)
        )
        if staying:
            # The generation is in force, so a former newcomer is a full member now.
            yield ResendAssignment(msgspec.structs.replace(current, joins=()), staying)

    # --- the transition to the next generation

    def _advance_transition(self, current: Assignment, following: Assignment) -> Iterator[Action]:
        """Repeats the next generation to its members until it is in force, or gives it up when it cannot be."""
        active = self._facts.active(current)
        if active is None:
            yield Report(current.spec.area, "waits for an active to bring a new member in")
        elif following.member(active.replica) is None or any(
            self._facts.unfit(n, current) or self._facts.is_leaving(n) for n in following.joins
        ):
            # The member to be replaced is active (again), or its replacement is lost or leaves itself.
            if self._facts.confirmed(current):
                yield AdoptReported(current)
        elif self._view.spares and (stall := self._stalled_newcomer(current, following)) is not None:
            replaced = next(m.replica for m in current.replicas if following.member(m.replica) is None)
            yield self._replacement(current, active, replaced, stall)
        else:
            yield Assign(following, (*following.joins, active.replica))

    def _stalled_newcomer(self, current: Assignment, following: Assignment) -> Stall | None:
        """Returns the replica that does not catch up to become a member, if another one may take its place now."""
        if self._view.stall_pause_seconds:
            return None
        newcomers = (m.replica for m in following.replicas if current.member(m.replica) is None)
        return self._facts.stalled(current, newcomers)

    def _replace_lost(self, current: Assignment) -> Iterator[Action]:
        area = current.spec.area
        lost = self._facts.lost(current)
        active = self._facts.active(current)
        if len(lost) > 1:
            yield Report(area, f"{' and '.join(lost)} are lost: the area waits until one of them is back")
        elif active is None:
            yield Report(area, f"{lost[0]} is lost, and no active can be reached to replace it")
        elif lost[0] == current.witness.replica:
            yield self._replace_witness(current, active)
        else:
            yield from self._replace_with_spare(current, active, lost[0], "is lost")

    def _replace_leaving(self, current: Assignment, name: str) -> Iterator[Action]:
        area = current.spec.area
        active = self._facts.active(current)
        if active is None:
            yield Report(area, f"{name} leaves, and no active can be reached to replace it")
        elif name == current.witness.replica:
            if any(p.name != name for p in self._view.witnesses):
                yield self._replace_witness(current, active)
            else:
                yield Report(area, f"{name} leaves and no other witness can be reached: add one", Kind.WITNESS)
        elif name != active.replica:
            yield from self._replace_with_spare(current, active, name, "leaves")
        elif active.peer_in_sync:
            yield Switchover(name, area)
        else:
            yield Report(area, f"{name} is active and leaves: it waits for its passive to be in sync")

    def _replace_with_spare(self, current: Assignment, active: ReplicaStatus, name: str, why: str) -> Iterator[Action]:
        area = current.spec.area
        if not self._view.spares:
            restarts = why == "is lost" and name in self._view.processes
            remedy = "it is being restarted with its data" if restarts else "add a simulator"
            yield Report(area, f"{name} {why} and no spare is available: {remedy}", Kind.SIMULATOR)
            return
        yield self._replacement(current, active, name)

    def _replace_stalled(self, current: Assignment, stall: Stall) -> Iterator[Action]:
        """Replaces a member that runs and makes no progress."""
        area, what = current.spec.area, f"{stall.replica} runs, but makes no progress"
        active = self._facts.active(current)
        if active is None:
            return
        if not self._view.spares:
            yield Report(area, f"{what}, and no spare is available: add a simulator", Kind.SIMULATOR)
        elif self._view.stall_pause_seconds:
            yield Report(area, f"{what}: it is replaced later, since a replacement for this reason was not long ago")
        else:
            yield self._replacement(current, active, stall.replica, stall)

    def _replacement(self, current: Assignment, active: ReplicaStatus, name: str, stall: Stall | None = None) -> Action:
        """Returns the assignment with the best spare in place of a replica; the caller knows that there is one."""
        view = self._view
        survivor = next(m for m in current.replicas if m.replica != name)
        stays, witness = (view.processes.get(m.replica) for m in (survivor, current.witness))
        spare = min(view.spares, key=lambda p: (p.stalled_before, _placement_cost(stays, p, witness)))
        following = Assignment(
            spec=current.spec,
            generation=current.generation + 1,
            replicas=(survivor, member(spare)),
            witness=current.witness,
            joins=(spare.name,),
        )
        return Assign(following, (spare.name, active.replica), stall)

    def _replace_witness(self, current: Assignment, active: ReplicaStatus) -> Action:
        witness = self._least_loaded_witness(besides=current.witness.replica)
        following = Assignment(
            spec=current.spec,
            generation=current.generation + 1,
            replicas=current.replicas,
            witness=member(witness),
            joins=(witness.name,),
        )
        return Assign(following, (witness.name, active.replica))

    def _least_loaded_witness(self, besides: str = "") -> ObservedProcess:
        """Returns the witness with the fewest areas; the caller knows that there is one."""
        load = self._view.load
        return min((p for p in self._view.witnesses if p.name != besides), key=lambda p: (load[p.name], p.name))

    # --- removal

    def _release_strays(self, current: Assignment, recorded: Assignment) -> Iterator[Action]:
        """Releases processes that hold the area and are not members of it."""
        members = {m.replica for a in (current, recorded) for m in a.members()}
        area = current.spec.area
        yield from (Release(name, area) for name in self._facts.holders(area) if name not in members)

    def _retire_area(self) -> Iterator[Action]:
        view = self._view
        if view.recorded is not None and view.backup_pending and self._may_have_state(view.recorded):
            yield from self._readdress(view.recorded)
            yield self._backup_first(view.recorded)
            return
        holders = self._facts.holders(view.area)
        yield from (Release(name, view.area) for name in holders)
        silent = [name for name in view.processes if not self._facts.reachable(name)]
        if silent:
            them = "it" if len(silent) == 1 else "them"
            yield Report(
                view.area,
                f"{' and '.join(silent)} cannot be reached to release the area: restart {them}, or delete {them} for"
                f" good (with the node, if that is gone)",
            )
        elif view.recorded is not None and not holders:
            yield DropRecord(view.area)

    def _may_have_state(self, recorded: Assignment) -> bool:
        """Returns whether any process has a state of the area; a member that cannot be reached may have one."""
        return self._facts.has_state(recorded.spec.area) or not all(
            map(self._facts.reachable, self._remaining(recorded))
        )

    def _backup_first(self, recorded: Assignment) -> Action:
        """Backs up the confirmed active.

        Only an active knows everything that was acknowledged, and an active that no other member confirms may have been
        replaced.
        """
        current = self._facts.current_generation(recorded)
        active = self._facts.active(current) if current is not None else None
        if current is None or active is None or not self._facts.confirmed(current):
            return Report(recorded.spec.area, "it is not wanted any more, and waits for an active to be backed up")
        return BackUp(active.replica, recorded.spec.area)

    def _remaining(self, recorded: Assignment) -> list[str]:
        """Returns the members whose process is not gone for good."""
        return [m.replica for m in recorded.members() if m.replica in self._view.processes]


def _placement_cost(
    one: ObservedProcess | None, other: ObservedProcess | None, witness: ObservedProcess | None
) -> tuple[bool, int]:
    """Returns how much fails together with one machine; the least is best, and equal costs keep the order of names.

    A machine that takes two of the three members stops the area. A machine that takes both replicas takes the state.
    """
    nodes = [p.node if p is not None else "" for p in (one, other, witness)]
    known = [node for node in nodes if node]
    return nodes[0] != "" and nodes[0] == nodes[1], len(known) - len(set(known))
