"""A seeded sequence of faults over the areas of a plane, ending with repair and the final checks."""

from __future__ import annotations

from tests.simulation.faults import EngineNemesis, Nemesis, Repairs
from tests.simulation.oracle import Violation
from tests.simulation.plane.world import PlaneWorld


class PlaneNemesis:
    """Injects the faults of single areas into any of them, and faults between two areas.

    Attributes:
        done: The faults so far, each with its time.
    """

    def __init__(self, world: PlaneWorld) -> None:
        self.world, self.rng = world, world.rng
        self.done: list[str] = []
        self._areas: dict[int, Nemesis] = {
            number: (EngineNemesis if self.rng.random() < 0.3 else Nemesis)(area)
            for number, area in world.areas.items()
        }
        self._repairs = Repairs(world.clock)

    def strike(self) -> None:
        """Injects one fault."""
        if self.rng.random() < 0.6:
            number = self.rng.choice(list(self._areas))
            nemesis = self._areas[number]
            nemesis.strike()
            self.done.append(f"area {number}: {nemesis.done[-1]}")
            return
        choices = [
            self.cut_areas, self.cut_areas, self.cut_areas_one_way, self.cut_areas_one_way, self.cut_actives,
            self.crash_both_actives, self.crash_both_actives, self.fill, self.fill, self.fill, self.break_links,
        ]  # fmt: skip
        fault = self.rng.choice(choices)
        self.done.append(f"{self.world.clock.now - 1000:.3f} {fault.__name__}")
        fault()

    def repair_due(self) -> None:
        self._repairs.do_due()
        for nemesis in self._areas.values():
            nemesis.repair_due()

    def _two(self) -> tuple[int, int]:
        first, second = self.rng.sample(list(self._areas), 2)
        return first, second

    def _cut(self, pairs: set[tuple[str, str]]) -> None:
        self.world.network.cut |= pairs
        self._repairs.later(self.rng.uniform(0.1, 3.0), lambda: self.world.network.cut.difference_update(pairs))

    def cut_areas(self) -> None:
        first, second = (self.world.areas[number].processes for number in self._two())
        self._cut({pair for a in first for b in second for pair in ((a, b), (b, a))})

    def cut_areas_one_way(self) -> None:
        first, second = (self.world.areas[number].processes for number in self._two())
        self._cut({(a, b) for a in first for b in second})

    def cut_actives(self) -> None:
        """Cuts the actives of two areas apart, so that only another active gets through."""
        first, second = (self.world.areas[number].active() for number in self._two())
        if first is not None and second is not None:
            self._cut({(first.name, second.name), (second.name, first.name)})

    def crash_both_actives(self) -> None:
        for number in self._two():
            self._areas[number].crash_active()

    def fill(self) -> None:
        """Lets an area have no room for others for a while, or for one more."""
        number = self.rng.choice(list(self._areas))
        area = self.world.areas[number]
        area.room = len(self.world.oracle.chronicles[number].newest.ids) + self.rng.choice((0, 0, 1))
        self._repairs.later(self.rng.uniform(0.2, 2.5), area.empty)

    def break_links(self) -> None:
        """Breaks all connections of an area to others."""
        number = self.rng.choice(list(self._areas))
        for name in self.world.areas[number].processes:
            self.world.network.break_all(name, "|link")


def run(seed: int, seconds: float = 2.0) -> PlaneWorld:
    """Runs one seed; raises `Violation` with the seed and the faults."""
    world = PlaneWorld(seed)
    nemesis = PlaneNemesis(world)
    try:
        world.run(0.6)
        end = strike = world.clock.now
        end += seconds
        while world.clock.now < end:
            if world.clock.now >= strike:
                nemesis.strike()
                strike = world.clock.now + world.rng.choice((0.05, 0.2, 0.5, 1.0)) * world.rng.uniform(0.5, 1.5)
            world.run(0.02)
            nemesis.repair_due()
        world.settle(nemesis.repair_due)
        world.check_end()
    except Violation as violation:
        story = "\n  ".join(nemesis.done)
        raise Violation(f"seed {seed}: {violation}\n  {story}") from violation
    return world
