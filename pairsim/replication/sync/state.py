"""The state of a replica: entities and borders of an area at one tick, with the rules of who may read it when."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import msgspec
import structlog

from pairsim.model.authority import Authority
from pairsim.model.borders import AreaMap, BorderState
from pairsim.model.state.digest import RunningDigest, combined_digest, hex16
from pairsim.model.state.table import Table, TableView
from pairsim.replication.clock import monotonic
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.service import CommittedArea, NoStateError, Published
from pairsim.replication.sync.snapshots import Snapshot, SnapshotTaker
from pairsim.replication.waiting import Broadcast

log = structlog.get_logger()

T = TypeVar("T")

DIGESTS_KEPT = 1_024
"""How many recent ticks' digests are kept."""

_POLL_SECONDS = 0.01


class ComputedTick(msgspec.Struct, frozen=True):
    """The result of a tick that this replica computed as the active, or that it took over at.

    Attributes:
        tick: The tick.
        snapshot: The entities.
        borders: The borders.
    """

    tick: int
    snapshot: Snapshot
    borders: BorderState


class ReplicaState:
    """A table and the borders of the area, with their tick. The replica thread writes them under `lock`.

    On the active, the table is ahead of the commit most of the time. So the active takes a snapshot of every tick, and
    readers get the newest committed one, while the next tick is computed. On a passive, readers take the lock.

    A leadership that is lost may have computed ticks that were never committed. Until the log settles what became of
    them, the state is unconfirmed: it is neither read nor compared.

    The state becomes unconfirmed before the log grows by a record of the next leadership. Hence the order of every
    look: first the commit, then whether the state is confirmed. The other way round, a state that was confirmed a
    moment ago would pass for the committed one.

    Attributes:
        lock: Guards `table`, `borders` and `tick`.
        table: The entities.
        borders: The borders; replaced as a whole, and never changed.
        area: The name of the area.
        tick: The tick that the table is at.
        valid: Whether the table is at `tick`.
        unconfirmed_term: The term of a lost leadership that may have computed uncommitted ticks; None if confirmed.
        divergences: How often a digest differed from the log's.
    """

    def __init__(self, area: str, table: Table, on_tick: Callable[[int], None] = lambda _tick: None) -> None:
        """Starts with a state that is not valid yet.

        Args:
            area: The name of the area.
            table: The entities.
            on_tick: Called before the state counts as that of a tick.
        """
        self._on_tick = on_tick
        self.lock = threading.Lock()
        self.area, self.table = area, table
        self.borders = BorderState(0, born=len(table))
        self._authority: tuple[AreaMap, Authority] | None = None
        self.tick = 0
        self.valid = False
        self.unconfirmed_term: int | None = None
        self.divergences = 0
        self._digests: dict[int, int] = {}
        self._digests_lock = threading.Lock()
        """Held only for moments, unlike `lock`. A copy needs it: not even `list()` of a dictionary is atomic."""
        self._changed = Broadcast()
        self._taker = SnapshotTaker()
        self._computed: tuple[ComputedTick, ...] = ()
        """The newest committed tick and those after it, oldest first; replaced as a whole."""

    @property
    def confirmed(self) -> bool:
        """Whether the table is valid and equals the log's state of its tick."""
        return self.unconfirmed_term is None and self.valid  # in this order: `settle` writes in the opposite one

    def begin(self) -> None:
        """Marks the content of the table as the state at tick 0."""
        with self.lock:
            self.borders = BorderState(0, born=len(self.table))
            self.mark_tick(0)

    def mark_tick(self, tick: int) -> int:
        """Records that the state is at `tick` now, and returns its digest. Call it under `lock`."""
        self._mark(tick, digest := state_digest(self.table, self.borders))
        return digest

    def mark_computed(self, tick: int, committed: int) -> ComputedTick:
        """Records that the engine has brought the table to `tick`, and takes a snapshot, whose digest it records.

        Call it under `lock`. The engine may be wild and write to the table even now: what counts is the snapshot.
        """
        running, borders = RunningDigest(len(self.table)), self.borders
        snapshot = self._taker.take(self.table, running)
        self._mark(tick, combined_digest(running.value, borders.digest()))
        return self._keep(ComputedTick(tick, snapshot, borders), committed)

    def _mark(self, tick: int, digest: int) -> None:
        self._on_tick(tick)
        self.tick, self.valid = tick, True
        with self._digests_lock:
            self._digests.pop(tick, None)
            self._digests[tick] = digest
            if len(self._digests) > DIGESTS_KEPT:
                del self._digests[next(iter(self._digests))]

    def take_snapshot(self, committed: int) -> ComputedTick:
        """Takes a snapshot of the state, and drops those that no reader needs beside the tick `committed`.

        The replica thread calls it as the active.
        """
        return self._keep(ComputedTick(self.tick, self._taker.take(self.table), self.borders), committed)

    def _keep(self, computed: ComputedTick, committed: int) -> ComputedTick:
        newest = self.newest_computed(committed)
        kept = [c for c in self._computed if newest is None or c.tick >= newest.tick]
        self._computed = (*kept, computed)
        return computed

    def leave_engine(self) -> None:
        """Moves to a table of the replica's own, at the newest snapshot: an engine has failed in the middle of a tick.

        The engine may write to its own table until it has ended. On a passive, which has no snapshots, no engine has
        written to the table.
        """
        newest = self._computed[-1] if self._computed else None
        own, source = Table(self.table.schema), self.table if newest is None else newest.snapshot
        own.assign(source.ids, source.columns())
        with self.lock:
            self.table = own
            if newest is not None:
                self.tick, self.borders = newest.tick, newest.borders

    def take_back(self) -> None:
        """Returns to the newest snapshot: the tick that the engine has computed does not count. Call it under `lock`.

        The active took a snapshot before it asked the engine.
        """
        newest = self._computed[-1]
        self.table.assign(newest.snapshot.ids, newest.snapshot.columns())
        self.borders = newest.borders

    def move_to(self, table: Table) -> None:
        """Moves the content to another table, which the replica uses from now on."""
        with self.lock:
            table.assign(self.table.ids, self.table.columns())
            self.table = table

    def drop_snapshots(self) -> None:
        """Drops all snapshots: this replica ceased to be the active."""
        self._computed = ()
        self._taker.forget()

    def newest_computed(self, committed: int) -> ComputedTick | None:
        """Returns the newest tick with a snapshot up to the tick `committed`; None on a passive."""
        return next((c for c in reversed(self._computed) if c.tick <= committed), None)

    def replace(self, table: TableView, borders: BorderState, tick: int) -> None:
        """Replaces the content by another state, at `tick`."""
        with self.lock:
            self.table.assign(table.ids, table.columns())
            self.borders = borders
            self.clear_unconfirmed()
            self.mark_tick(tick)

    def discard(self) -> None:
        """Drops the content: nothing is to be read of it, and only a keyframe can replace it."""
        self._on_tick(0)
        with self.lock:
            self.tick, self.valid = 0, False
            self.table.resize(0)
            self.borders = BorderState(0)

    def clear_unconfirmed(self) -> None:
        """Makes the state confirmed when another one takes its place; drops digests of ticks that may be undone."""
        if not self.confirmed:
            with self._digests_lock:
                self._digests = {}
        self.unconfirmed_term = None

    def settle(self, *, stands: bool) -> None:
        """Confirms the ticks of a lost leadership, or makes the state invalid if they do not stand."""
        with self.lock:
            if self.valid and stands:
                self._on_tick(self.tick)
            self.valid = self.valid and stands
            self.unconfirmed_term = None

    def authority(self, committed: int) -> Authority:
        """Returns the authority of the newest state up to the tick `committed`."""
        known = newest_borders(self, committed).map
        newest = self._authority
        if newest is None or newest[0] is not known:
            authority = Authority(area=self.area, version=known.version, cells=known.cells)
            newest = self._authority = known, authority
        return newest[1]

    def digest(self, tick: int) -> int | None:
        """Returns the digest at a recent tick; None if it is not kept."""
        return self._digests.get(tick)

    def digest_text(self, tick: int) -> str:
        """Returns the digest at a recent tick, 16 hex digits; empty if it is not kept, and while unconfirmed."""
        digest = self._digests.get(tick) if self.confirmed else None
        return hex16(digest) if digest is not None else ""

    def digests(self, first: int, last: int) -> dict[int, str]:
        """Returns the digests of the recent ticks in [first, last], 16 hex digits each; empty while unconfirmed.

        `last` has to be a committed tick that was known before the call: ticks that a lost leadership computed ahead
        of it are unconfirmed from then on.
        """
        if not self.confirmed:
            return {}
        with self._digests_lock:
            return {tick: hex16(digest) for tick, digest in self._digests.items() if first <= tick <= last}

    def notify(self) -> None:
        """Wakes readers that wait for a commit."""
        self._changed.notify_all()

    def read(self, query: Callable[[CommittedArea], T], log: TickLog, timeout: float) -> T:
        """Runs a query on the state at a committed tick, and returns its result, which must not refer to the table.

        Raises:
            NoStateError: The table is not valid.
            TimeoutError: The table was not at a committed tick within `timeout` seconds.
        """
        deadline = monotonic() + timeout
        while True:
            term, committed = log.position()
            computed = self.newest_computed(committed)
            if computed is not None and self.confirmed:
                return query(CommittedArea(computed.snapshot, computed.borders, Published(term, computed.tick)))
            if not self.lock.acquire(timeout=max(0.0, deadline - monotonic())):
                raise TimeoutError("a tick is being computed for longer than a reader waits")
            try:
                if not self.valid:
                    raise NoStateError("this replica has no state of the area yet")
                term, committed = log.position()
                if self.tick <= committed and self.confirmed:
                    return query(CommittedArea(self.table, self.borders, Published(term, self.tick)))
            finally:
                self.lock.release()
            left = deadline - monotonic()
            if left <= 0:
                raise TimeoutError("the state was not at a committed tick in time")
            self._changed.wait(min(left, _POLL_SECONDS))


def state_digest(table: TableView, borders: BorderState) -> int:
    """Returns the digest of a state, by which two replicas find out whether theirs are equal."""
    return combined_digest(table.digest(), borders.digest())


def newest_borders(state: ReplicaState, committed: int) -> BorderState:
    """Returns the borders of the newest state up to the tick `committed`."""
    computed = state.newest_computed(committed)
    return state.borders if computed is None else computed.borders


def compare_digest(state: ReplicaState, tick: int, digest: int) -> None:
    """Counts and logs a divergence if the state that a replay begins with has not the digest of the log."""
    if state.digest(tick) != digest:
        state.divergences += 1
        log.error("the state diverged before the takeover", tick=tick)


def resolve_unconfirmed(state: ReplicaState, log: TickLog, most_ahead: int) -> None:
    """Decides about the ticks of a lost leadership: they stand if the log has them under that leadership's term.

    Waits until the log has reached the state. If it shows a later term at one of these ticks, the state is invalid.
    At most `most_ahead` ticks were computed before the first of them was committed.
    """
    term = state.unconfirmed_term
    if term is None or log.tick < state.tick:
        return
    state.settle(stands=log.has_ticks_of(term, max(state.tick - most_ahead, 0), state.tick))
