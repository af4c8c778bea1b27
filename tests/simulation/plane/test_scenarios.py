"""Single crossings that break at a certain moment: random faults reach these moments too rarely."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pairsim.replication.links import arrivals
from pairsim.replication.replica.replica import Replica
from tests.simulation.oracle import Violation
from tests.simulation.pair import Pair
from tests.simulation.plane.chronicle import Committed
from tests.simulation.plane.simulator import TICK_RATE
from tests.simulation.plane.world import PlaneWorld

SENDER, RECEIVER = 1, 2
THERE, HERE = [35.0, 20.0, 5.0], [5.0, 20.0, 5.0]
"""Places in the cells of the receiver and of the sender."""


class Crossing:
    """Two areas at rest, in which single entities are sent across."""

    def __init__(self, seed: int = 1) -> None:
        self.world = PlaneWorld(seed, columns=(1, 1))
        self.world.run(1.0)
        self._alone = [9_001, 9_002]
        for entity in self._alone:
            self.world.client._add(SENDER, "spawn", entity, birth=entity, position=HERE)
        self.world.settle()
        self.sender, self.receiver = self.world.areas[SENDER], self.world.areas[RECEIVER]

    def committed(self, number: int) -> Committed:
        return self.world.oracle.chronicles[number].newest

    def alone(self) -> int:
        """Returns an entity of the sender that crosses alone."""
        return self._alone.pop()

    def send(self, entity: int, place: list[float] = THERE) -> None:
        """Lets a client set the position of an entity of the sender."""
        self.world.client._add(SENDER, "set", entity, position=place)

    def arrived(self, entity: int) -> bool:
        return entity in self.committed(RECEIVER).ids

    def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> float:
        """Lets time pass in small steps until a condition holds; returns how long that took."""
        began = self.world.clock.now
        while not condition():
            if self.world.clock.now > began + seconds:
                raise Violation(f"it takes more than {seconds} s")
            self.world.run(0.0005)
        return self.world.clock.now - began

    def finish(self, entity: int) -> None:
        """Repairs everything; the entity is with the receiver then, once."""
        self.world.settle()
        self.world.check_end()
        assert self.arrived(entity)
        assert entity not in self.committed(SENDER).ids


def replica_of(area: Pair) -> Replica:
    active = area.active()
    assert active is not None
    assert active.replica is not None
    return active.replica


def crash_active(area: Pair) -> None:
    name = active_name(area)
    area.processes[name].crash()


def active_name(area: Pair) -> str:
    active = area.active()
    assert active is not None
    return active.name


STAGES: dict[str, Callable[[Crossing, int], bool]] = {
    "the sender has computed the tick": lambda c, _entity: bool(
        (link := replica_of(c.sender).state.borders.links.get(RECEIVER)) and link.outbox
    ),
    "the sender has committed it": lambda c, entity: entity not in c.committed(SENDER).ids,
    "the receiver has computed the tick": lambda c, entity: entity in replica_of(c.receiver).state.table.ids,
    "the receiver has committed it": lambda c, entity: c.arrived(entity),
    "the sender has the acknowledgement": lambda c, entity: (
        c.arrived(entity) and not c.committed(SENDER).borders.links[RECEIVER].outbox
    ),
}


def at_stage(stage: str) -> tuple[Crossing, int]:
    """Returns a crossing of an entity that has come so far."""
    crossing = Crossing()
    entity = crossing.alone()
    crossing.send(entity)
    crossing.until(lambda: STAGES[stage](crossing, entity))
    return crossing, entity


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("dies", ["sender", "receiver", "both"])
def test_an_entity_crosses_once_although_actives_die(stage: str, dies: str) -> None:
    crossing, entity = at_stage(stage)
    if dies != "receiver":
        crash_active(crossing.sender)
    if dies != "sender":
        crash_active(crossing.receiver)
    crossing.until(lambda: crossing.arrived(entity))
    crossing.finish(entity)


@pytest.mark.parametrize("side", [SENDER, RECEIVER])
def test_a_tick_that_is_computed_and_lost_is_computed_again(side: int) -> None:
    """The active of one area computes the tick of a crossing, which no other member receives, and hangs."""
    crossing = Crossing()
    entity = crossing.alone()
    area = crossing.world.areas[side]
    name = active_name(area)
    lost = {(name, other) for other in area.processes if other != name}
    if side == RECEIVER:
        crossing.send(entity)
        crossing.until(lambda: STAGES["the sender has committed it"](crossing, entity))
        crossing.world.network.cut |= lost
    else:
        crossing.world.network.cut |= lost
        crossing.send(entity)
    stage = "the sender has computed the tick" if side == SENDER else "the receiver has computed the tick"
    crossing.until(lambda: STAGES[stage](crossing, entity), 0.3)
    area.halt(name)
    crossing.until(lambda: area.leader() is not None and area.leader().replica.active is not None)  # type: ignore[union-attr]
    crossing.world.run(1.0)
    area.resume(name)
    crossing.world.network.cut.clear()
    crossing.until(lambda: crossing.arrived(entity))
    crossing.finish(entity)


@pytest.mark.parametrize("way", ["both ways", "there", "back"])
def test_an_entity_waits_while_areas_are_cut_apart_and_ticks_go_on(way: str) -> None:
    crossing = Crossing()
    world, entity = crossing.world, crossing.alone()
    there = {(a, b) for a in crossing.sender.processes for b in crossing.receiver.processes}
    world.network.cut |= (there if way != "back" else set()) | ({(b, a) for a, b in there} if way != "there" else set())
    crossing.send(entity)
    before = [crossing.committed(number).tick for number in (SENDER, RECEIVER)]
    world.run(2.0)
    after = [crossing.committed(number).tick for number in (SENDER, RECEIVER)]
    assert [tick - first for tick, first in zip(after, before, strict=True)] == pytest.approx([20, 20], abs=1)
    assert crossing.arrived(entity) is (way == "back")
    assert crossing.committed(SENDER).borders.links[RECEIVER].outbox
    world.network.cut.clear()
    crossing.until(lambda: crossing.arrived(entity))
    crossing.finish(entity)


@pytest.mark.parametrize("fault", ["dies", "hangs", "is cut off from its pair"])
@pytest.mark.parametrize("side", [SENDER, RECEIVER])
def test_entities_cross_soon_after_a_takeover(side: int, fault: str) -> None:
    crossing = Crossing()
    entity, area = crossing.alone(), crossing.world.areas[side]
    name = active_name(area)
    if fault == "dies":
        crash_active(area)
    elif fault == "hangs":
        area.halt(name)
    else:
        crossing.world.network.cut |= {
            pair for other in area.processes if other != name for pair in ((name, other), (other, name))
        }
    crossing.world.run(0.6)
    crossing.send(entity)
    # A process that hangs keeps its connections, and is left after a second of silence.
    ticks = (1.5 if fault == "hangs" else 0.4) * TICK_RATE
    assert crossing.until(lambda: crossing.arrived(entity)) * TICK_RATE <= ticks
    crossing.finish(entity)


def test_a_full_area_takes_an_entity_when_there_is_room() -> None:
    crossing = Crossing()
    entity = crossing.alone()
    crossing.receiver.room = len(crossing.committed(RECEIVER).ids)
    crossing.send(entity)
    crossing.world.run(2.0)
    assert not crossing.arrived(entity)
    assert entity not in crossing.committed(SENDER).ids
    crossing.receiver.empty()
    crossing.until(lambda: crossing.arrived(entity))
    crossing.finish(entity)


def test_an_id_that_is_on_its_way_is_refused() -> None:
    crossing = Crossing()
    world, entity = crossing.world, crossing.alone()
    crossing.receiver.room = 0
    crossing.send(entity)
    crossing.until(lambda: entity not in crossing.committed(SENDER).ids)
    command = world.client._add(SENDER, "spawn", entity, birth=77.0, position=HERE)
    crossing.until(lambda: not world.client.waits)
    assert world.oracle.answers[command.id].reason == f"entity {entity} is on its way to another area"
    crossing.finish(entity)


def test_an_entity_whose_id_the_receiver_has_returns_and_is_held() -> None:
    crossing = Crossing()
    world, entity = crossing.world, crossing.alone()
    world.client._add(RECEIVER, "spawn", entity, birth=77.0, position=THERE)
    crossing.until(lambda: crossing.arrived(entity))
    crossing.send(entity)
    crossing.until(lambda: crossing.committed(RECEIVER).borders.counters.conflicts == 1)
    crossing.until(lambda: len(crossing.committed(SENDER).borders.held) == 1)
    assert entity in crossing.committed(SENDER).ids
    world.client._add(RECEIVER, "despawn", entity)
    crossing.until(lambda: crossing.arrived(entity) and 77 not in crossing.committed(RECEIVER).births)
    crossing.finish(entity)


def test_an_area_that_knows_no_map_yet_takes_what_arrives() -> None:
    world = PlaneWorld(1, columns=(1, 1))
    receiver = world.areas[RECEIVER]
    world.issuer._due = [entry for entry in world.issuer._due if entry[1] == SENDER]
    deliver, world.issuer.deliver = world.issuer.deliver, lambda areas: deliver({SENDER: areas[SENDER]})  # type: ignore[method-assign]
    chronicles = world.oracle.chronicles
    end = world.clock.now + 20.0
    while not chronicles[RECEIVER].newest.borders.counters.taken and world.clock.now < end:
        world.run(0.1)
        world.issuer._due = [entry for entry in world.issuer._due if entry[1] == SENDER]
    assert chronicles[RECEIVER].newest.borders.counters.taken
    assert chronicles[RECEIVER].newest.borders.version == 0
    assert replica_of(receiver).links.board.posted.number == 0
    world.issuer.deliver = deliver  # type: ignore[method-assign]
    world.settle()
    world.check_end()


def replace_the_passive(crossing: Crossing) -> str:
    """Replaces the receiver's passive by a spare, which becomes the active; returns the former active."""
    area, world = crossing.receiver, crossing.world
    kept, spare = active_name(area), area.spares[0]
    lost = next(name for name in area.initial[:2] if name != kept)
    area.processes[lost].crash(lose_disk=True)
    following = area.generation(2, (kept, spare), (spare,))
    area.processes[spare].start(following)
    world.run(0.3)
    replica_of(area).active.request_handover(spare, following, world.clock.now + 2.0)  # type: ignore[union-attr]
    crossing.until(lambda: area.newest() == following and area.redundant())
    replica_of(area).active.request_handover(spare, None, world.clock.now + 2.0)  # type: ignore[union-attr]
    crossing.until(lambda: area.active() is area.processes[spare])
    return kept


def test_an_active_that_no_map_names_is_found_by_the_refusal_of_another_replica(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crossing = Crossing()
    entity = crossing.alone()
    with monkeypatch.context() as patch:
        patch.setattr(crossing.world, "_issue", lambda: None)
        kept = replace_the_passive(crossing)
        crossing.send(entity)
        crossing.until(lambda: crossing.arrived(entity), 1.0)
    crossing.receiver.processes[kept].crash()
    entity = crossing.alone()
    crossing.send(entity)
    crossing.until(lambda: crossing.arrived(entity), 1.0)
    crossing.finish(entity)


def lose_a_tick_and_lead_again() -> None:
    """Lets the receiver's active lose the tick that takes an entity, lead again later, and take it then."""
    crossing = Crossing()
    world, area, entity = crossing.world, crossing.receiver, crossing.alone()
    name = active_name(area)
    lost = {(name, other) for other in area.processes if other != name}
    crossing.send(entity)
    crossing.until(lambda: STAGES["the sender has committed it"](crossing, entity))
    crossing.until(lambda: bool(replica_of(area).links.arrivals._waiting))
    crossing.until(lambda: replica_of(area).active._due < world.clock.now + 0.005)  # type: ignore[union-attr]
    world.network.cut |= lost
    crossing.until(lambda: STAGES["the receiver has computed the tick"](crossing, entity), 0.3)
    world.run(1.0 / TICK_RATE)  # the next tick is computed as well, and no entry waits for it
    area.halt(name)
    other = next(n for n in area.initial[:2] if n != name)
    # The other replica leads and takes nothing, since it has no room; then the first one leads again.
    area.room = 0
    crossing.until(lambda: (r := area.processes[other].replica) is not None and r.active is not None)
    area.resume(name)
    world.network.cut -= lost
    crossing.until(area.redundant)
    active = area.processes[other].replica
    assert active is not None
    assert active.active is not None
    active.active.request_handover(name, None, world.clock.now + 2.0)
    crossing.until(lambda: (r := area.processes[name].replica) is not None and r.active is not None)
    area.empty()
    crossing.until(lambda: crossing.arrived(entity))
    crossing.finish(entity)


def test_an_active_that_lost_a_tick_takes_its_entries_when_it_leads_again() -> None:
    lose_a_tick_and_lead_again()


def test_it_never_takes_them_if_entries_of_an_earlier_leadership_wait_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(self: arrivals.Arrivals) -> None:
        self._open = False

    monkeypatch.setattr(arrivals.Arrivals, "end", end)
    with pytest.raises(Violation):
        lose_a_tick_and_lead_again()
