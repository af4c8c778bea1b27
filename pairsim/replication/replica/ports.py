"""The seams of a replica: its Raft group, its checkpoints and its driver; real ones, or simulated ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pairsim.engine.port import Engine
from pairsim.model.borders import BorderState
from pairsim.model.borders.messages import UNLIMITED_ROOM
from pairsim.model.state.table import TableView
from pairsim.replication.checkpoint.format import Checkpoint
from pairsim.replication.log.records import Record
from pairsim.replication.service import Published
from pairsim.replication.standing import Standing


class Consensus(Protocol):
    """What the active needs of its Raft group. Any thread may call it."""

    def submit(self, term: int, record: Record) -> None:
        """Appends a record to the log, if the term is still open."""

    def transfer_leadership(self, peer: str | None) -> None:
        """Transfers the leadership once the peer has the whole log; None cancels the transfer."""

    def other_standing(self) -> tuple[str, Standing] | None:
        """Returns the name and the standing of the other replica; None if it could not lead now."""

    def other_report(self) -> tuple[str, Standing | None]:
        """Returns the name of the other replica, and its newest standing; None while it is not connected."""

    def voters(self) -> frozenset[str]:
        """Returns the names of the linked peers that vote."""

    def linked_replicas(self) -> frozenset[str]:
        """Returns the names of the linked peers that are replicas; the witness is not among them."""


class Capacity(NamedTuple):
    """How much a replica holds.

    Attributes:
        commands: The most commands that may wait for a tick.
        entities: Returns how many entities the table may have when others arrive from other areas. Replica thread.
    """

    commands: int
    entities: Callable[[], int] = lambda: UNLIMITED_ROOM


class Disk(Protocol):
    """The checkpoints of this replica, and the number of the newest tick that it has shown."""

    @property
    def durable(self) -> int:
        """The tick of the newest checkpoint that is safely written; 0 before the first."""

    @property
    def shown(self) -> int:
        """The newest tick that this replica has shown, also before its process was started."""

    def show(self, tick: int) -> None:
        """Keeps the number of the newest tick that is shown from now on. Any thread; must not block."""

    def load(self) -> Checkpoint | None:
        """Returns the newest checkpoint; None before the first."""

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
        """Starts to write a checkpoint, if one is due or urgent and the last one is finished.

        Copies what it needs before it returns.
        """


class ReplicaListener(Protocol):
    """What the driver of a replica learns."""

    def on_engine_failed(self) -> None:
        """Ends the engine and starts another one, which goes to `Replica.offer_engine`. Replica thread."""

    def on_engine_wanted(self) -> None:
        """Starts another engine beside the one in use, which goes to `Replica.offer_fresh_engine`. Replica thread."""

    def on_engine_replaced(self, old: Engine, new: Engine) -> None:
        """Ends an engine whose place another one has taken. Replica thread."""

    def on_engine_unused(self, engine: Engine) -> None:
        """Ends an engine that was started and is not used. Replica thread."""

    def wake(self) -> None:
        """Ends the pause of the replica thread. Any thread."""

    def on_publish(self, published: Published | None) -> None:
        """Takes a tick that may be seen (replica thread), or None on a change of status (any thread)."""

    def on_takeover(self, *, term: int, tick: int, replayed: int) -> None:
        """Handles that this replica became active at `tick`, of which it replayed the last `replayed` ticks.

        Replica thread.
        """
