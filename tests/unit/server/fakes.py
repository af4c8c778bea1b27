"""A replica and a witness without replication behind them: a test decides what the server sees."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment, Member
from pairsim.model.authority import Authority
from pairsim.model.borders import BorderState
from pairsim.model.command_schema import CommandSchema, Operation
from pairsim.model.commands import Command, Result, Status
from pairsim.model.crossings.border_status import BorderStatus
from pairsim.model.geometry import Box
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.model.status import ReplicaStatus, Role, SimulatorState, WitnessGroup, WitnessStatus
from pairsim.replication.service import (
    BatchCallback,
    BatchInterruptedError,
    Committed,
    CommittedArea,
    FailingTick,
    InboxFullError,
    NoStateError,
    NotActiveError,
    OrderResult,
    Published,
    RefusedError,
    SwitchoverResult,
)

T = TypeVar("T")

TOKEN = "the-controllers-token"
SCHEMA = Schema((Component("position", "float32", 3), Component("mass", "float64")))
COMMAND_SCHEMA = CommandSchema(SCHEMA, [Operation("impulse", (Component("velocity", "float32", 3),))])


def command(command_id: str, op: str = "set", entity: int = 1, **components: float | list[float]) -> Command:
    return Command(id=command_id, op=op, entity=entity, components=components or {"mass": 1.0})


def commands(count: int, prefix: str = "c") -> list[Command]:
    return [command(f"{prefix}{i}") for i in range(count)]


def member(name: str, url: str = "http://127.0.0.1:1", peer: int = 1) -> Member:
    return Member(replica=name, peer=f"127.0.0.1:{peer}", url=url)


def assignment(generation: int = 1) -> Assignment:
    box = Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    return Assignment(
        spec=AreaSpec(area="north", plane="physics", simulator="physics", bounds=box, world=box),
        generation=generation,
        replicas=(member("a", peer=1), member("b", peer=2)),
        witness=member("w", peer=3),
    )


class FakeReplica:
    """A replica service that commits batches at once, or when the test calls `commit`."""

    def __init__(self, name: str = "a", role: Role = Role.ACTIVE, *, auto: bool = True) -> None:
        self.name, self.role, self.auto = name, role, auto
        self.term, self.generation, self.tick, self.synced = 1, 1, 10, True
        self.known_leader: Member | None = None
        self.other: Member | None = None
        self.area, self.area_command_schema = "north", COMMAND_SCHEMA
        self.table = Table(SCHEMA)
        self.submitted: list[tuple[list[Command], BatchCallback]] = []
        self.seen: dict[str, int] = {}
        self.rejects: dict[str, str] = {}
        self.full = False
        self.reads = 0
        self.read_errors: list[Exception] = []
        self.failing: list[Command] = []
        self.orders: list[object] = []
        self.refuse: Exception | None = None
        self.broken = self.leaving = False
        self.pace = 1.0
        self.border_status: BorderStatus | None = None
        self.simulator: SimulatorState | None = None
        self.known_map = Authority.before_grants("north")
        self.granted: list[Authority] = []
        self.borders = BorderState(1)
        self._listeners: list[Callable[[Published | None], None]] = []
        self._lock = threading.RLock()

    # --- what a test does

    def become(self, role: Role, *, leader: Member | None = None, term: int | None = None) -> None:
        with self._lock:
            self.role, self.known_leader = role, leader
            self.term = self.term if term is None else term
        self.notify(None)

    def move(self, area: str) -> None:
        """Gives the process another area."""
        self.area, self.area_command_schema = area, CommandSchema(SCHEMA, COMMAND_SCHEMA.operations.values())
        self.notify(None)

    def publish(self, tick: int | None = None) -> None:
        with self._lock:
            self.tick = self.tick + 1 if tick is None else tick
            published = Published(self.term, self.tick)
        self.notify(published)

    def notify(self, published: Published | None) -> None:
        for listener in list(self._listeners):
            listener(published)

    def commit(self) -> None:
        """Answers everything that was submitted, in the next tick."""
        with self._lock:
            self.tick += 1
            batches, self.submitted = self.submitted, []
            answers = [(done, Committed(self.term, [self._result(c) for c in batch])) for batch, done in batches]
        for done, answer in answers:
            done(answer)

    def interrupt(self) -> None:
        batches, self.submitted = self.submitted, []
        for _batch, done in batches:
            done(BatchInterruptedError("the leadership was lost"))

    def spawn(self, first: int, positions: Sequence[Sequence[float]]) -> None:
        ids = np.arange(first, first + len(positions), dtype=np.int64)
        self.table.spawn(ids, {"position": np.asarray(positions, np.float32)})

    def _result(self, item: Command) -> Result:
        reason = self.rejects.get(item.id, "")
        if item.id in self.seen:
            return Result(item.id, Status.DUPLICATE, self.seen[item.id], reason)
        self.seen[item.id] = self.tick
        return Result(item.id, Status.REJECTED if reason else Status.APPLIED, self.tick, reason)

    # --- the service

    def status(self) -> ReplicaStatus:
        if self.broken:
            raise RuntimeError("/secret/path is broken")
        spare = self.role is Role.SPARE
        leader = self.name if self.role is Role.ACTIVE else self.known_leader and self.known_leader.replica
        return ReplicaStatus(
            plane="" if spare else "physics",
            area="" if spare else self.area,
            replica=self.name,
            role=self.role,
            generation=self.generation,
            term=self.term,
            version=0 if spare else self.known_map.version,
            number=0 if spare else self.known_map.number,
            tick=self.tick,
            synced_tick=self.tick,
            digest="0" * 16,
            entities=len(self.table),
            leader=leader,
            members=("a", "b", "w"),
            in_sync=self.synced,
            peer_in_sync=self.role is Role.ACTIVE,
            started_at=1.0,
            pid=1,
            peer="127.0.0.1:1",
            leaving=self.leaving,
            pace=self.pace,
            tick_ms=121.0,
            simulator=self.simulator,
            borders=self.border_status if self.role is Role.ACTIVE else None,
        )

    def command_schema(self) -> CommandSchema | None:
        return None if self.role is Role.SPARE else self.area_command_schema

    def measurements(self) -> None:
        return None

    def leader(self) -> Member | None:
        return member(self.name) if self.role is Role.ACTIVE else self.known_leader

    def other_replica(self) -> Member | None:
        return self.other

    def submit(self, batch: Sequence[Command], done: BatchCallback) -> None:
        with self._lock:
            if self.role is not Role.ACTIVE:
                raise NotActiveError(self.known_leader)
            if self.full:
                raise InboxFullError("50000 commands wait for a tick")
            self.submitted.append((list(batch), done))
        if self.auto:
            self.commit()

    def read(self, query: Callable[[Table, Published], T], timeout: float) -> T:
        with self._lock:
            self.reads += 1
            if self.role is Role.SPARE:
                raise NoStateError("this process is a spare: it has no area")
            if self.read_errors:
                raise self.read_errors.pop()
            return query(self.table, Published(self.term, self.tick))

    def read_area(self, query: Callable[[CommittedArea], T], timeout: float) -> T:
        return self.read(lambda table, published: query(CommittedArea(table, self.borders, published)), timeout)

    def digests(self, first: int, last: int) -> dict[int, str]:
        return {tick: f"{tick:016x}" for tick in range(first, last + 1) if 0 < tick <= self.tick}

    def watch(self, listener: Callable[[Published | None], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def assign(self, order: Assignment) -> None:
        self._order(order)

    def release(self, area: str) -> None:
        self._order(area)

    def leave(self) -> None:
        self._order("leave")
        self.leaving = True
        self.notify(None)

    def keep_warm_engine(self, *, keep: bool) -> None:
        self._order(f"keep a warm engine: {keep}")

    def authority(self) -> Authority:
        if self.role is Role.SPARE:
            raise NoStateError("this process is a spare: it has no area")
        return self.known_map

    def authorise(self, authority: Authority, timeout: float) -> None:
        if self.role is not Role.ACTIVE:
            raise NotActiveError(self.known_leader)
        if self.refuse is not None:
            raise self.refuse
        self.known_map = authority
        self.granted.append(authority)
        self.notify(None)

    def switchover(self, timeout: float) -> SwitchoverResult:
        if self.role is not Role.ACTIVE:
            raise NotActiveError(self.known_leader)
        self._order("switchover")
        return SwitchoverResult(6.5, self.term + 1)

    def skip(self, command: str, timeout: float) -> OrderResult:
        if self.role is not Role.ACTIVE:
            raise NotActiveError(self.known_leader)
        self._order(("skip", command))
        return OrderResult(self.term, self.tick, 1)

    def failing_tick(self) -> FailingTick:
        if self.role is not Role.ACTIVE:
            raise NotActiveError(self.known_leader)
        self._order("list")
        return FailingTick(self.tick, self.failing, frozenset({"c2"}))

    def restart_engines(self, timeout: float, *, even_if_seen: bool) -> OrderResult:
        if self.role is not Role.ACTIVE:
            raise NotActiveError(self.known_leader)
        self._order(("restart", even_if_seen))
        return OrderResult(self.term, self.tick, 1)

    def _order(self, order: object) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.orders.append(order)


class FakeWitness:
    """A witness service that knows the groups that the test gives it."""

    def __init__(self) -> None:
        self.orders: list[object] = []
        self.groups: tuple[WitnessGroup, ...] = ()
        self.leaving = False
        self._listeners: list[Callable[[], None]] = []

    def become(self, *groups: WitnessGroup) -> None:
        self.groups = groups
        for listener in list(self._listeners):
            listener()

    def status(self) -> WitnessStatus:
        return WitnessStatus(
            replica="w", started_at=1.0, pid=1, peer="127.0.0.1:3", areas=self.groups, leaving=self.leaving
        )

    def watch(self, listener: Callable[[], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def assign(self, order: Assignment) -> None:
        if order.generation == 7:
            raise RefusedError("generation 9 is in force, 7 is over")
        self.orders.append(order)

    def release(self, area: str) -> None:
        self.orders.append(area)

    def leave(self) -> None:
        self.leaving = True
        self.become(*self.groups)


def as_json(body: bytes) -> dict[str, object]:
    return msgspec.json.decode(body, type=dict[str, object])
