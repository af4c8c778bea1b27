"""The oracle: it hears what all processes of a run say, and checks the invariants as they speak."""

from __future__ import annotations

from pairsim.model.commands import Result
from pairsim.replication.log.records import Order, Seal, Skip, Tick
from pairsim.replication.sync.simulator_calls import SKIPPED


class Violation(AssertionError):
    """An invariant does not hold."""


class Oracle:
    """Everything that the processes of a run committed, showed and acknowledged.

    Attributes:
        records: The committed records by tick.
        digests: The digests of the ticks that were seen.
        entities: The digests of the entities at the ticks that were read.
        actives: The active of each term.
        ran: The tick of each command.
        acked: The first result of each acknowledged command.
        refused: The reason of each acknowledged command; empty if it was applied.
        skipped: The commands that operators left out.
        takeovers: How many leaderships began.
    """

    def __init__(self) -> None:
        self.records: dict[int, Tick] = {}
        self.digests: dict[int, int] = {}
        self.entities: dict[int, int] = {}
        self.actives: dict[int, str] = {}
        self.ran: dict[str, int] = {}
        self.acked: dict[str, Result] = {}
        self.refused: dict[str, str] = {}
        self.skipped: set[str] = set()
        self.takeovers = 0

    def committed(self, record: Tick) -> None:
        """Hears that a member applied a record."""
        known = self.records.setdefault(record.tick, record)
        if known != record:
            raise Violation(f"tick {record.tick} was committed twice: {known} and {record}")
        for command in record.commands:
            self.recorded(command.id, record.tick)

    def recorded(self, command: str, tick: int) -> None:
        """Hears that the record of a tick has a command."""
        if self.ran.setdefault(command, tick) != tick:
            raise Violation(f"command {command} ran in ticks {self.ran[command]} and {tick}")

    def ordered(self, order: Order) -> None:
        """Hears that a member applied an order about engines."""
        if isinstance(order, Skip) and order.command not in self.skipped:
            if order.tick in self.digests:
                raise Violation(f"command {order.command} is left out of tick {order.tick}, which was seen")
            self.skipped.add(order.command)

    def published(self, replica: str, tick: int, digest: int) -> None:
        """Hears the digest of a tick that a replica shows."""
        if self.digests.setdefault(tick, digest) != digest:
            raise Violation(f"{replica} shows another tick {tick} than was seen before")

    def read(self, replica: str, tick: int, digest: int) -> None:
        """Hears the digest of the entities at a tick as a reader sees them."""
        if self.entities.setdefault(tick, digest) != digest:
            raise Violation(f"{replica} lets another tick {tick} be read than was read before")

    def active(self, replica: str, term: int) -> None:
        """Hears that a replica became active."""
        self.takeovers += 1
        if self.actives.setdefault(term, replica) != replica:
            raise Violation(f"term {term} has two actives: {self.actives[term]} and {replica}")

    def answered(self, result: Result) -> None:
        """Hears the answer to a command."""
        tick = self.ran.get(result.id)
        if tick != result.tick:
            raise Violation(f"command {result.id} was acknowledged for tick {result.tick}, the log has {tick}")
        if (result.reason == SKIPPED) is not (result.id in self.skipped):
            raise Violation(f"command {result.id} was answered {result.reason!r}, skipped: {sorted(self.skipped)}")
        self.acked.setdefault(result.id, result)
        if self.refused.setdefault(result.id, result.reason) != result.reason:
            raise Violation(f"command {result.id} was answered {self.refused[result.id]!r} and then {result.reason!r}")


class OracleListener:
    """A tick log's listener that passes committed records to the oracle."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle

    def on_open(self, term: int) -> None: ...

    def on_tick(self, record: Tick, payload: bytes) -> None:
        self._oracle.committed(record)

    def on_order(self, order: Order) -> None:
        self._oracle.ordered(order)

    def on_seal(self, seal: Seal) -> None: ...
