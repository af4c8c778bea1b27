"""A replica with its log and its state, and recorders in place of its group, its disk and its driver."""

from __future__ import annotations

from typing import cast

from pairsim.engine.in_process import InProcessEngine
from pairsim.engine.port import Engine
from pairsim.model.borders import BorderState
from pairsim.model.borders.messages import UNLIMITED_ROOM
from pairsim.model.commands import Command
from pairsim.model.state.table import TableView
from pairsim.replication.checkpoint.format import Checkpoint
from pairsim.replication.log.records import Open, Record, Seal, Tick, encode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.membership.membership import Membership
from pairsim.replication.replica.active import Active
from pairsim.replication.replica.engine.absent import AbsentEngine
from pairsim.replication.replica.inbox import Inbox
from pairsim.replication.replica.replica import Replica
from pairsim.replication.service import Published
from pairsim.replication.standing import Standing
from tests.simulation.area import SPEC, Counters
from tests.simulation.engines import FaultyEngine
from tests.unit.replication.log.test_tick_log import new

NOW = 1000.0
INBOX_COMMANDS = 1000


class FakeConsensus:
    """A Raft group that records what it gets and commits what the test says."""

    def __init__(self) -> None:
        self.submitted: list[Record] = []
        self.transfers: list[str | None] = []
        self.other: tuple[str, Standing] | None = None
        self.reported: Standing | None = None
        self.voting: frozenset[str] = frozenset({"b", "w"})
        self.linked: frozenset[str] = frozenset({"b"})

    def submit(self, term: int, record: Record) -> None:
        self.submitted.append(record)

    def transfer_leadership(self, peer: str | None) -> None:
        self.transfers.append(peer)

    def other_standing(self) -> tuple[str, Standing] | None:
        return self.other

    def other_report(self) -> tuple[str, Standing | None]:
        return "b", self.reported

    def voters(self) -> frozenset[str]:
        return self.voting

    def linked_replicas(self) -> frozenset[str]:
        return self.linked


class FakeDisk:
    """Checkpoints in memory. Records which ticks were offered, and whether they were urgent."""

    def __init__(self) -> None:
        self.saved: Checkpoint | None = None
        self.durable = self.shown = 0
        self.offered: list[tuple[int, bool]] = []

    def load(self) -> Checkpoint | None:
        return self.saved

    def show(self, tick: int) -> None:
        self.shown = tick

    def maybe_write(
        self,
        view: TableView,
        borders: BorderState,
        tick: int,
        term: int,
        digest: int,
        now: float,
        *,
        urgent: bool,
    ) -> None:
        self.offered.append((tick, urgent))


class FakeListener:
    """A driver that records what it hears."""

    def __init__(self) -> None:
        self.wakes = 0
        self.engine_failures = self.fresh_engines = 0
        self.ended: list[Engine] = []
        self.published: list[Published | None] = []
        self.takeovers: list[tuple[int, int, int]] = []

    def on_engine_failed(self) -> None:
        self.engine_failures += 1

    def on_engine_wanted(self) -> None:
        self.fresh_engines += 1

    def on_engine_replaced(self, old: Engine, new: Engine) -> None:
        self.ended.append(old)

    def on_engine_unused(self, engine: Engine) -> None:
        self.ended.append(engine)

    def wake(self) -> None:
        self.wakes += 1

    def on_publish(self, published: Published | None) -> None:
        self.published.append(published)

    def on_takeover(self, *, term: int, tick: int, replayed: int) -> None:
        self.takeovers.append((term, tick, replayed))


class LoneReplica:
    """A replica at tick 0, without threads. The listener of its log is the replica itself."""

    def __init__(self, simulator: Counters | None = None, engine: Engine | None = None) -> None:
        self.log: TickLog = new()
        self.consensus, self.disk, self.listener = FakeConsensus(), FakeDisk(), FakeListener()
        self.inbox = Inbox(INBOX_COMMANDS)
        engine = engine or InProcessEngine(simulator or Counters(SPEC), SPEC)
        engine.code = engine.code if isinstance(engine, FaultyEngine) else ""  # no record names it
        self.replica = Replica(
            SPEC,
            engine,
            self.log,
            consensus=self.consensus,
            disk=self.disk,
            inbox=self.inbox,
            room=lambda: UNLIMITED_ROOM,
            commit_known_from_log=lambda: True,
            listener=self.listener,
        )
        if not isinstance(engine, AbsentEngine):
            self.replica.initialise()
        self.log.listener = cast("Membership", self.replica)
        self.state = self.replica.state
        self._committed = 0

    def open(self, term: int) -> None:
        self.log.apply(encode_record(Open(term)))

    def lead(self, term: int = 1) -> Active:
        """Makes the replica the active of a term, as its group and its thread do."""
        self.open(term)
        self.replica.on_leadership_gained(term, None)
        self.replica.run_once(NOW)
        assert self.replica.active is not None
        return self.replica.active

    def commit(self, count: int | None = None) -> None:
        """Commits the next records that were submitted; all of them by default."""
        end = len(self.consensus.submitted) if count is None else self._committed + count
        for record in self.consensus.submitted[self._committed : end]:
            self.log.apply(encode_record(record))
        self._committed = end

    def tick(
        self,
        number: int,
        digest: int,
        *,
        term: int = 1,
        commands: list[Command] | None = None,
        inputs: bytes = b"",
    ) -> None:
        """Commits a tick that another replica ran."""
        self.log.apply(encode_record(Tick(term, number, digest, 0, commands or [], inputs)))

    def digest(self) -> int:
        found = self.state.digest(self.state.tick)
        assert found is not None
        return found

    def records(self) -> list[Tick]:
        """Returns the ticks that were submitted."""
        return [record for record in self.consensus.submitted if isinstance(record, Tick)]

    def seals(self) -> list[Seal]:
        """Returns the seals that were submitted."""
        return [record for record in self.consensus.submitted if isinstance(record, Seal)]


def add(command_id: str, entity: int = 1) -> Command:
    return Command(command_id, "add", entity, {"amount": 1})
