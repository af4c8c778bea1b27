"""Views of a world, built by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.geometry import Box
from pairsim.model.status import ReplicaStatus, Role, WitnessGroup, WitnessStatus
from pairsim_controller.plan.fleet_index import Index, Wanted
from pairsim_controller.plan.view import Kind, Label, Process, View

BOX = Box(min=(0.0, 0.0, 0.0), max=(10.0, 10.0, 10.0))


def spec(area: str = "west") -> AreaSpec:
    return AreaSpec(area=area, plane="plane", simulator="physics", bounds=BOX, world=BOX)


def member(name: str) -> Member:
    return Member(replica=name, peer=f"{name}:1", url=f"http://{name}:2")


def assignment(*names: str, area: str = "west", generation: int = 1, joins: tuple[str, ...] = ()) -> Assignment:
    """Two replicas and a witness, by their names."""
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
    """What a simulator says of itself; a spare without an assignment."""
    return ReplicaStatus(
        plane="plane" if of else "", area=of.spec.area if of else "", replica=name, role=role,
        generation=of.generation if of else 0, term=term if of else 0, tick=tick if of else 0, epoch=1, synced_tick=0,
        digest="", entities=0, leader=None, members=tuple(m.replica for m in of.members()) if of else (),
        in_sync=role in {Role.ACTIVE, Role.PASSIVE}, peer_in_sync=peer_in_sync,
        started_at=0.0, pid=1, peer=f"{name}:1",
    )  # fmt: skip


def witness(name: str, *groups: Assignment, term: int = 1) -> WitnessStatus:
    """What a witness says of itself."""
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
    silent: float = 0.0,
    leaving: bool = False,
    node: str = "",
) -> Process:
    """A process that can be reached if it has a status."""
    kind = Kind.WITNESS if name.startswith("witness") else Kind.SIMULATOR
    return Process(
        name=name, kind=kind, peer=f"{name}:1", url=f"http://{name}:2", alive=alive, leaving=leaving, node=node,
        status=status, silent=silent,
    )  # fmt: skip


NOW = 1000.0


def index(
    *processes: Process,
    recorded: tuple[Assignment, ...] = (),
    areas: tuple[str, ...] = ("west",),
    unsaved: tuple[str, ...] = (),
    labels: Mapping[str, Label] | None = None,
    touched: Callable[[str], None] = lambda _area: None,
) -> Index:
    """A world as a backend tells it."""
    made = Index(touched)
    for seen in processes:
        tell(made, seen)
    for name in areas:
        made.want(name, Wanted(spec(name)))
    for name in unsaved:
        made.want(name, Wanted(None, unsaved=True))
    for assigned in recorded:
        made.record(assigned.spec.area, assigned)
    for name, label in (labels or {}).items():
        made.label(name, label)
    return made


def tell(world: Index, seen: Process, now: float = NOW) -> None:
    """What a backend sees of a process."""
    world.put(seen)
    world.heard(seen.name, seen.status, now if seen.status else now - seen.silent)


def view(
    *processes: Process,
    recorded: tuple[Assignment, ...] = (),
    areas: tuple[str, ...] = ("west",),
    unsaved: tuple[str, ...] = (),
    labels: Mapping[str, Label] | None = None,
) -> View:
    """A look at the area west."""
    return index(*processes, recorded=recorded, areas=areas, unsaved=unsaved, labels=labels).view("west", NOW)


def leaving(seen: Process) -> Process:
    return msgspec.structs.replace(seen, leaving=True)


def pair(of: Assignment) -> tuple[Process, Process, Process]:
    """All three members at work, the first replica as the active."""
    first, second, third = (m.replica for m in of.members())
    return (
        process(first, replica(first, of, Role.ACTIVE, peer_in_sync=True)),
        process(second, replica(second, of, Role.PASSIVE)),
        process(third, witness(third, of)),
    )


def spare(name: str) -> Process:
    return process(name, replica(name))


def dead(name: str) -> Process:
    return process(name, None, alive=False, silent=0.1)


def silent(name: str, seconds: float) -> Process:
    return process(name, None, silent=seconds)


def without_joins(of: Assignment) -> Assignment:
    return msgspec.structs.replace(of, joins=())
