"""Several areas of one plane with links between them, running the real replication code in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable

from pairsim.model.assignment import Assignment
from pairsim.model.borders import BorderLimits
from pairsim.replication.clock import use_clock
from pairsim.settings import Timing
from tests.simulation.network import Clock, Network
from tests.simulation.oracle import Violation
from tests.simulation.pair import Pair
from tests.simulation.plane.client import PlaneClient
from tests.simulation.plane.issuer import Issuer, Partition
from tests.simulation.plane.limits import use_limits
from tests.simulation.plane.links import Links
from tests.simulation.plane.oracle import PlaneOracle
from tests.simulation.plane.simulator import Travellers, plane_area
from tests.simulation.world import SEND_SECONDS, draw_sizes

PARTITIONS = ((1, 1), (1, 1), (1, 1), (1, 1, 1), (1, 2), (2, 2))
"""How many cells each column of a plane has."""

TIMING = Timing(heartbeat=0.06, election_min=0.2, election_max=0.3)
"""Slower timers than those of one rack: most of the work of a run are heartbeats."""

_ISSUE_SECONDS = 0.1


class PlaneWorld:
    """A run of several areas.

    Attributes:
        clock, rng, network: Those of all areas.
        oracle: What the areas committed, and the checks.
        areas: The areas by number.
        issuer: The controller.
        client: The client.
    """

    def __init__(self, seed: int, *, columns: tuple[int, ...] | None = None) -> None:
        """Starts all areas; `columns` is drawn from `PARTITIONS` if it is not given."""
        random.seed(seed)
        self.rng = rng = random.Random(seed)
        draw_sizes(rng)
        use_limits(
            BorderLimits(
                transfers=rng.choice((2, 5, 10_000)),
                waiting=rng.choice((3, 10, 50_000)),
                messages=rng.choice((2, 5, 1_024)),
                held_ticks=rng.choice((2, 5)),
                departed=rng.choice((4, 1_000)),
                acknowledgements=rng.choice((2, 16)),
            )
        )
        self.clock = Clock()
        use_clock(self.clock)
        self.network = Network(self.clock, rng)
        now: Callable[[], float] = lambda: self.clock.now  # noqa: E731
        self.issuer = Issuer(Partition(columns or rng.choice(PARTITIONS)), rng, now)
        self.oracle = PlaneOracle(self.issuer.map, seed, now)
        links = Links(
            self.network,
            self.oracle,
            self._published_by,
            waiting=rng.choice((500, 2_000, 4 * 2**20)),
            record=rng.choice((300, 1_500, 2**20)),
        )
        self.areas: dict[int, Pair] = {}
        for cell in self.issuer.map.cells:
            spec = plane_area(cell.number, cell.bounds, seed)
            self.areas[cell.number] = Pair(
                spec,
                network=self.network,
                rng=rng,
                oracle=self.oracle.areas[cell.number],
                peripherals=(links,),
                simulator=Travellers,
                suffix=f"-{cell.number}",
                timing=TIMING,
                reads_often=False,
            )
        self._area_of = {name: area for area in self.areas.values() for name in area.processes}
        for area in self.areas.values():
            area.everyone = tuple(self._area_of)
            area.start()
        self.client = PlaneClient(self.oracle, rng, clashes=rng.random() < 0.7)
        self.settling = False
        self._next_send = self._next_issue = self.clock.now
        self.issuer.issue(self.areas, move=False)

    def _published_by(self, name: str) -> Assignment | None:
        return self._area_of[name].published_by(name)

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        for name in self.network.due(seconds):
            now = self.clock.now
            if now >= self._next_send:
                self._next_send = now + SEND_SECONDS
                if self.settling:
                    for number, area in self.areas.items():
                        self.client.send_open(number, area)
                else:
                    self.client.send(self.areas)
            if now >= self._next_issue:
                self._next_issue = now + _ISSUE_SECONDS
                self._issue()
            self.network.turn(name, self._area_of[name].processes[name].turn)

    def _issue(self) -> None:
        changed = self.issuer.members_changed(self.areas)
        if self.settling:
            if changed:
                self.issuer.issue(self.areas, move=False)
            self.issuer.repeat(self.areas)
        elif self.rng.random() < (0.3 if changed else 0.04):
            self.issuer.issue(self.areas, move=self.rng.random() < 0.7)
        self.issuer.deliver(self.areas)

    def settle(self, repair: Callable[[], None] = lambda: None, seconds: float = 60.0) -> None:
        """Repairs everything and lets all entities stand still: the world must come to rest in time."""
        self.settling = True
        self.network.cut.clear()
        for area in self.areas.values():
            area.repair()
        end = self.clock.now + seconds
        while unsettled := self._unsettled():
            if self.clock.now > end:
                picture = "\n".join(area.picture() for area in self.areas.values())
                raise Violation(f"not at rest {seconds} s after everything was repaired: {unsettled}\n{picture}")
            if not self.client.waits:
                self.client.calm()
            self.run(0.2)
            repair()
            for area in self.areas.values():
                area.restart_members()

    def _unsettled(self) -> list[str]:
        found = [
            f"area {number} is not redundant"
            for number, area in self.areas.items()
            if not area.redundant() or area.replacing
        ]
        if self.client.waits:
            found.append("a command is not answered")
        return found + self.oracle.unsettled(self.issuer.map)

    def check_end(self) -> None:
        """Checks after `settle` that the world is what all answers said."""
        for area in self.areas.values():
            area.check_end()
        self.oracle.check_values()
