"""Replicas and witnesses that simulate nothing: they say of themselves what real ones would; sans-I/O.

What a pair's Raft group would agree on is one object here, so an election takes no time: what is measured is the
controller. Terms, generations and roles keep the contract of `pairsim.model.assignment`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from pairsim.model.assignment import Assignment
from pairsim.model.authority import Authority
from pairsim.model.status import ReplicaStatus, Role, WitnessGroup, WitnessStatus
from pairsim_controller.plan.view import Kind
from tests.cluster.scale.names import Place

_PID = 7


class RefusedError(Exception):
    """An order that contradicts what the process knows (409)."""


class _Group:
    """What the members of an area agree on."""

    def __init__(self, assignment: Assignment) -> None:
        self.now = assignment
        self.next: Assignment | None = None
        self.term = 0
        self.active = ""
        self.version = 0
        self.began = time.monotonic()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(m.replica for m in self.now.members())

    @property
    def tick(self) -> int:
        return int((time.monotonic() - self.began) * self.now.spec.tick_rate) if self.term else 0


class Fake:
    """One process.

    Attributes:
        held: By area, the assignment that it works with; a simulator has one at most.
        left_at: Term and tick at which it was lost.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.alive = True
        self.held: dict[str, Assignment] = {}
        self.left_at = 0, 0
        self.started = time.time()


class Replicas:
    """All of them."""

    def __init__(self, places: Iterable[Place], changed: Callable[[Fake], None]) -> None:
        """`changed` is called with a process whose status changed, or that died."""
        self.by_address = {place.address: Fake(place) for place in places}
        self._by_name = {fake.place.name: fake for fake in self.by_address.values()}
        self._groups: dict[str, _Group] = {}
        self._changed = changed

    # --- orders

    def assign(self, fake: Fake, assignment: Assignment) -> None:
        """Makes a process a member. Raises RefusedError."""
        area, name = assignment.spec.area, fake.place.name
        if assignment.member(name) is None:
            raise RefusedError(f"{name} is no member of that generation")
        if fake.place.kind is Kind.SIMULATOR and fake.held and area not in fake.held:
            raise RefusedError(f"{name} has area {next(iter(fake.held))}")
        group = self._groups.get(area)
        if group is None:
            if assignment.generation != 1:
                raise RefusedError(f"nobody knows of a generation before {assignment.generation}")
            group = self._groups[area] = _Group(assignment)
        held = fake.held.get(area)
        if held is not None and held.generation >= assignment.generation:
            return
        if assignment.generation > group.now.generation and name not in assignment.joins:
            if name == group.active:
                group.next = assignment
        else:
            fake.held[area] = assignment
        self._settle(group)
        self._changed(fake)

    def release(self, fake: Fake, area: str) -> None:
        """Makes a process leave an area."""
        if fake.held.pop(area, None) is not None:
            self._changed(fake)
        if not any(area in other.held for other in self._by_name.values()):
            self._groups.pop(area, None)

    def authorise(self, fake: Fake, authority: Authority) -> None:
        """Brings a version of the map to the area. Raises RefusedError if the process is not the active."""
        group = self._groups.get(authority.area)
        if group is None or group.active != fake.place.name:
            raise RefusedError(f"{fake.place.name} is not the active")
        group.version = max(group.version, authority.version)
        for name in group.names:
            self._changed(self._by_name[name])

    def switchover(self, fake: Fake) -> int:
        """Hands over to the passive; the term. Raises RefusedError if it is not the active."""
        group = next((g for g in self._groups.values() if g.active == fake.place.name), None)
        if group is None:
            raise RefusedError(f"{fake.place.name} is not the active")
        self._rise(group)
        return group.term

    # --- what befalls them

    def lose_active(self, area: str) -> tuple[str, str]:
        """The active is gone, and the other one has taken over: their names."""
        group = self._groups[area]
        lost = self._by_name[group.active]
        lost.alive, lost.left_at = False, (group.term, group.tick)
        self._rise(group)
        self._changed(lost)
        return lost.place.name, group.active

    def revive(self) -> int:
        """Restarts the dead processes with their folders; returns their number."""
        gone = [fake for fake in self._by_name.values() if not fake.alive]
        for fake in gone:
            fake.alive, fake.started = True, time.time()
        return len(gone)

    # --- what they say

    def status(self, fake: Fake) -> ReplicaStatus | WitnessStatus:
        """Of one process, now."""
        place = fake.place
        if place.kind is Kind.WITNESS:
            return WitnessStatus(
                replica=place.name,
                started_at=fake.started,
                pid=_PID,
                peer=place.peer,
                areas=tuple(self._witnessed(area, held) for area, held in fake.held.items()),
            )
        area, held = next(iter(fake.held.items()), ("", None))
        group = self._groups.get(area)
        if held is None or group is None:
            return self._replica(fake, Role.SPARE)
        if place.name in held.joins and held.generation > group.now.generation:
            return self._replica(fake, Role.JOINING, held, group)
        role = Role.ACTIVE if group.active == place.name else Role.PASSIVE
        return self._replica(fake, role, held, group)

    def _replica(
        self, fake: Fake, role: Role, held: Assignment | None = None, group: _Group | None = None
    ) -> ReplicaStatus:
        current = held is not None and group is not None and held.generation == group.now.generation
        term, tick = (group.term, group.tick) if current and group is not None else (0, 0)
        if not current and role is Role.PASSIVE:
            term, tick = fake.left_at  # it was replaced while it was away, and knows nothing of it
        return ReplicaStatus(
            plane=held.spec.plane if held is not None else "",
            area=held.spec.area if held is not None else "",
            replica=fake.place.name,
            role=role,
            generation=held.generation if held is not None else 0,
            term=term,
            version=group.version if current and group is not None else 0,
            tick=tick,
            synced_tick=tick,
            digest="0" * 16,
            entities=held.spec.entities if held is not None else 0,
            leader=group.active or None if current and group is not None else None,
            members=tuple(m.replica for m in held.members()) if held is not None else (),
            in_sync=current and term > 0,
            peer_in_sync=role is Role.ACTIVE and group is not None and self._whole(group),
            started_at=fake.started,
            pid=_PID,
            peer=fake.place.peer,
        )

    def _witnessed(self, area: str, held: Assignment) -> WitnessGroup:
        group = self._groups[area]
        return WitnessGroup(
            area=area,
            generation=held.generation,
            term=group.term,
            tick=group.tick,
            leader=group.active or None,
            members=tuple(m.replica for m in held.members()),
        )

    # --- what they agree on

    def _settle(self, group: _Group) -> None:
        """Elects the first active, or brings the next generation into force."""
        area, following = group.now.spec.area, group.next
        if group.term == 0:
            if all(area in self._by_name[name].held for name in group.names):
                group.term, group.active, group.began = 1, group.names[0], time.monotonic()
        elif following is not None and all(self._holds(n, following) for n in following.joins):
            group.now, group.next = following, None
            for name in group.names:
                self._by_name[name].held[area] = following
        else:
            return
        for name in group.names:
            self._changed(self._by_name[name])

    def _rise(self, group: _Group) -> None:
        """The other one is the active in the next term."""
        group.active = next(name for name in group.names[:2] if name != group.active)
        group.term += 1
        for name in group.names:
            self._changed(self._by_name[name])

    def _whole(self, group: _Group) -> bool:
        return all(self._by_name[n].alive and self._holds(n, group.now) for n in group.names[:2])

    def _holds(self, name: str, assignment: Assignment) -> bool:
        held = self._by_name[name].held.get(assignment.spec.area)
        return held is not None and held.generation == assignment.generation
