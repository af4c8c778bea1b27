"""What a view says about an area: which generation is in force, who leads it, who is lost.

These are conclusions from what processes say of themselves; what to do about them is said in `decide`.
"""

from __future__ import annotations

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.status import ReplicaStatus, Role
from pairsim_controller.plan.view import Process, View

GRACE = 10.0
"""Seconds of silence after which a member counts as lost although its process may run."""


class Facts:
    """Questions to a view of one area. `current` is always the generation that `in_force` gave."""

    def __init__(self, view: View) -> None:
        self._view = view

    def in_force(self, recorded: Assignment) -> Assignment | None:
        """The newest generation that a member reports, with the members' addresses as they are known.

        None if nobody's word counts (see `reported`); but an area that has just been founded is as it is recorded.
        """
        reported = self.reported(recorded.spec, recorded)
        if reported is None and recorded.generation == 1 and any(self.answers(m.replica) for m in recorded.members()):
            return recorded
        return reported

    def reported(self, spec: AreaSpec, recorded: Assignment | None = None) -> Assignment | None:
        """The newest generation of an area that somebody speaks of.

        Who joins reports a generation that is not in force yet: a newcomer's word, and that of a witness which has
        seen no term, do not count.
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
        first, second, third = (known.get(name) or self._known(name) for name in names)
        return Assignment(spec=spec, generation=generation, replicas=(first, second), witness=third)

    def _known(self, name: str) -> Member:
        """A member by its name; who is gone for good has an address at which nobody can be."""
        process = self._view.processes.get(name)
        return (
            member(process) if process else Member(replica=name, peer=f"{name}.invalid:1", url=f"http://{name}.invalid")
        )

    def answers(self, name: str) -> bool:
        """Whether it can be reached."""
        process = self._view.processes.get(name)
        return process is not None and process.alive and process.status is not None

    def active(self, current: Assignment) -> ReplicaStatus | None:
        """The active of this generation with the highest term."""
        found = [
            status for m in current.replicas
            if (status := self._status(m.replica, current)) is not None
            and status.role is Role.ACTIVE and status.generation == current.generation
        ]  # fmt: skip
        return max(found, key=lambda status: status.term, default=None)

    def lost(self, current: Assignment) -> list[str]:
        """Members that will not come back by themselves soon enough, or that serve another area.

        A lost witness counts if there is another one: the only witness is restarted where it was, which is quicker
        than anything else.
        """
        lost = [m.replica for m in current.members() if self.unfit(m.replica, current)]
        return [n for n in lost if n != current.witness.replica or self._other_witness(n)]

    def leaving(self, current: Assignment) -> list[str]:
        """Members that will end soon, in the order in which they are replaced: the active as the last."""
        active = self.active(current)
        names = [m.replica for m in current.members() if self.leaves(m.replica)]
        return sorted(names, key=lambda name: active is not None and name == active.replica)

    def leaves(self, name: str) -> bool:
        """Whether a process will end soon."""
        process = self._view.processes.get(name)
        return process is not None and process.leaves

    def unfit(self, name: str, current: Assignment) -> bool:
        """Whether a member, or one that is to become it, cannot be counted on."""
        process = self._view.processes.get(name)
        if process is None or not process.alive:
            return True
        if process.status is None:
            return process.silent > GRACE and self.confirmed(current, without=name)
        return process.replica is not None and process.replica.area not in {"", current.spec.area}

    def confirmed(self, current: Assignment, without: str = "") -> bool:
        """Whether its active and another member (not `without`) say that this generation is in force.

        One stale replica alone does not know what came after it.
        """
        active = self.active(current)
        others = {m.replica for m in current.members()} - {without, active.replica if active else ""}
        return active is not None and any(self._generation(other, current) == current.generation for other in others)

    def blank(self, current: Assignment) -> list[str]:
        """Members that answer and do not have the area: they came back without their folder."""
        blank = []
        for name in (m.replica for m in current.members()):
            process = self._view.processes.get(name)
            replica, witness = (process.replica, process.witness) if process else (None, None)
            if (replica is not None and replica.role is Role.SPARE) or (
                witness is not None and all(group.area != current.spec.area for group in witness.areas)
            ):
                blank.append(name)
        return blank

    def begun(self, current: Assignment) -> bool:
        """Whether any member has seen a term of the area: then it has a history that must not begin anew."""
        for name in (m.replica for m in current.members()):
            process = self._view.processes.get(name)
            status = self._status(name, current)
            groups = process.witness.areas if process is not None and process.witness is not None else ()
            if (status is not None and max(status.term, status.tick) > 0) or any(
                g.area == current.spec.area and max(g.term, g.tick) > 0 for g in groups
            ):
                return True
        return False

    def stateful(self, area: str) -> bool:
        """Whether a replica has a state of the area that is not as it was at the beginning."""
        replicas = [p.replica for p in self._view.processes.values()]
        return any(s is not None and s.area == area and max(s.term, s.tick) > 0 for s in replicas)

    def holders(self, area: str) -> list[str]:
        """Whoever has the area, member or not."""
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
        """The generation of the area that a member is in."""
        process = self._view.processes.get(name)
        if process is not None and process.witness is not None:
            return next((g.generation for g in process.witness.areas if g.area == current.spec.area), None)
        status = self._status(name, current)
        return status.generation if status is not None else None

    def _other_witness(self, name: str) -> bool:
        return any(p.name != name for p in self._view.witnesses)


def member(process: Process) -> Member:
    """A process as a member."""
    return Member(replica=process.name, peer=process.peer, url=process.url)
