"""One area on three simulated processes (and spares), running the real replication code in virtual time."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from pairsim.model.area import Detection
from pairsim.replication.clock import use_clock
from pairsim.replication.raft import replicator, snapshots
from tests.simulation.area import SPEC
from tests.simulation.client import SimClient
from tests.simulation.network import Clock, Network
from tests.simulation.oracle import Oracle, Violation
from tests.simulation.pair import Pair

SEND_SECONDS = 0.03
"""The pause between two batches of the client."""


def draw_sizes(rng: random.Random) -> None:
    """Draws the sizes of the product that decide how snapshots are made and sent."""
    # Seconds of virtual time never fill a log: some runs compact often, and send snapshots in small pieces.
    snapshots.COMPACT_ENTRIES = rng.choice((4, 15, 60, 2_000))
    # Links that take little at a time make a transfer last, so that faults interrupt it.
    snapshots.CHUNK_BYTES = rng.choice((100, 1_000, 256 * 1024))
    replicator.BURST_BYTES = rng.choice((1_000, 10_000, 4 * 2**20))


class World(Pair):
    """A run of one area: processes, network, client and oracle."""

    def __init__(
        self,
        seed: int,
        *,
        prepare: Callable[[World], None] = lambda _world: None,
        detection: Detection | msgspec.UnsetType = msgspec.UNSET,
    ) -> None:
        """`prepare` is called before the processes start: it may add observers, or replace the client."""
        random.seed(seed)
        rng = random.Random(seed)
        draw_sizes(rng)
        clock = Clock()
        use_clock(clock)
        spec = msgspec.structs.replace(SPEC, detection=detection)
        super().__init__(spec, network=Network(clock, rng), rng=rng, oracle=Oracle())
        self.client = SimClient(self.oracle)
        prepare(self)
        self.start()
        self._next_send = self.clock.now

    def run(self, seconds: float) -> None:
        """Lets time pass."""
        for name in self.network.due(seconds):
            if self.clock.now >= self._next_send:
                self._next_send = self.clock.now + SEND_SECONDS
                self.client.send(self.rng, self.awake_replicas())
            self.network.turn(name, self.processes[name].turn)

    def settle(self, repair: Callable[[], None], seconds: float = 20.0) -> None:
        """Repairs everything; the pair must become redundant in time, with equal states."""
        self.network.cut.clear()
        self.repair()
        end = self.clock.now + seconds
        while not self.redundant() or self.replacing:
            if self.clock.now > end:
                raise Violation(f"not redundant {seconds} s after everything was repaired:\n{self.picture()}")
            self.run(0.1)
            repair()
            self.restart_members()
        self.run(0.5)
