"""Builders of statuses, processes, indexes and views."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.geometry import Box
from pairsim.model.status import ReplicaStatus, Role, WitnessGroup, WitnessStatus
from pairsim_controller.plan.fleet_index import DesiredArea, FleetIndex
from pairsim_controller.plan.view import Kind, Label, ObservedProcess, View

BOX = Box(min=(0.0, 0.0, 0.0), max=(10.0, 10.0, 10.0))


def spec(area: str = "west") -> AreaSpec:
    return AreaSpec(area=area, plane="plane", simulator="physics", bounds=BOX, world=BOX)


def member(name: str) -> Member:
    return Member(replica=name, peer=f"{name}:1", url=f"http://{name}:2")


def assignment(*names: str, area: str = "west", generation: int = 1, joins: tuple[str, ...] = ()) -> Assignment:
    """Returns an assignment of two replicas and a witness, by their names."""
    first, second, witness = map(member, names)
    return Assignment(spec=spec(area), generation=generation, replicas=(first, second), witness=witness, joins=joins)


def replica(
    name: str,
    of: Assignment | None = None,
    role: Role = Role.SPARE,
    *,
    term: int = 1,
    tick: int = 5,
    peer_in_sync: bool = False,
) -> ReplicaStatus:
    """Returns the status of a simulator; without an assignment, that of a spare."""
    return ReplicaStatus(
        plane="plane" if of else "", area=of.spec.area if of else "", replica=name, role=role,
        generation=of.generation if of else 0, term=term if of else 0, tick=tick if of else 0, version=0, synced_tick=0,
        digest="", entities=0, leader=None, members=tuple(m.replica for m in of.members()) if of else (),
        in_sync=role in {Role.ACTIVE, Role.PASSIVE}, peer_in_sync=peer_in_sync,
        started_at=0.0, pid=1, peer=f"{name}:1",
    )  # fmt: skip


def witness(name: str, *groups: Assignment, term: int = 1) -> WitnessStatus:
    """Returns the status of a witness."""
    return WitnessStatus(
        replica=name, started_at=0.0, pid=1, peer=f"{name}:1",
        areas=tuple(
            WitnessGroup(
                area=a.spec.area, generation=a.generation, term=term, tick=5 * term, leader=None,
                members=tuple(m.replica for m in a.members()),
            )
            for a in groups
        ),
    )  # fmt: skip


def process(
    name: str,
    status: ReplicaStatus | WitnessStatus | None,
    *,
    alive: bool = True,
    silent_seconds: float = 0.0,
    terminating: bool = False,
    node: str = "",
) -> ObservedProcess:
    """Returns a process, which can be reached if it has a status."""
    kind = Kind.WITNESS if name.startswith("witness") else Kind.SIMULATOR
    return ObservedProcess(
        name=name, kind=kind, peer=f"{name}:1", url=f"http://{name}:2", alive=alive, terminating=terminating, node=node,
        status=status, silent_seconds=silent_seconds,
    )  # fmt: skip


NOW = 1000.0


def fleet_index(
    *processes: ObservedProcess,
    recorded: tuple[Assignment, ...] = (),
    areas: tuple[str, ...] = ("west",),
    backup_pending: tuple[str, ...] = (),
    labels: Mapping[str, Label] | None = None,
    touched: Callable[[str], None] = lambda _area: None,
) -> FleetIndex:
    """Returns an index that a backend has filled."""
    made = FleetIndex(touched)
    for seen in processes:
        observe(made, seen)
    for name in areas:
        made.set_desired(name, DesiredArea(spec(name)))
    for name in backup_pending:
        made.set_desired(name, DesiredArea(None, backup_pending=True))
    for assigned in recorded:
        made.set_record(assigned.spec.area, assigned)
    for name, label in (labels or {}).items():
        made.set_label(name, label)
    return made


def observe(world: FleetIndex, seen: ObservedProcess, now: float = NOW) -> None:
    """Puts a process into an index, as a backend does."""
    world.set_process(seen)
    world.on_status(seen.name, seen.status, now if seen.status else now - seen.silent_seconds)


def view(
    *processes: ObservedProcess,
    recorded: tuple[Assignment, ...] = (),
    areas: tuple[str, ...] = ("west",),
    backup_pending: tuple[str, ...] = (),
    labels: Mapping[str, Label] | None = None,
) -> View:
    """Returns a view of the area west."""
    return fleet_index(*processes, recorded=recorded, areas=areas, backup_pending=backup_pending, labels=labels).view(
        "west", NOW
    )


def leaving(seen: ObservedProcess) -> ObservedProcess:
    return msgspec.structs.replace(seen, terminating=True)


def pair(of: Assignment) -> tuple[ObservedProcess, ObservedProcess, ObservedProcess]:
    """Returns the three members at work, the first replica as the active."""
    first, second, third = (m.replica for m in of.members())
    return (
        process(first, replica(first, of, Role.ACTIVE, peer_in_sync=True)),
        process(second, replica(second, of, Role.PASSIVE)),
        process(third, witness(third, of)),
    )


def spare(name: str) -> ObservedProcess:
    return process(name, replica(name))


def dead(name: str) -> ObservedProcess:
    return process(name, None, alive=False, silent_seconds=0.1)


def silent(name: str, seconds: float) -> ObservedProcess:
    return process(name, None, silent_seconds=seconds)


def without_joins(of: Assignment) -> Assignment:
    return msgspec.structs.replace(of, joins=())
