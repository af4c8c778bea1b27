"""The periodic checkpoints of a replica: the replica thread copies the state, and another thread writes it."""

from __future__ import annotations

import threading
from pathlib import Path

import structlog

from pairsim.model.borders import BorderState
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import TableView
from pairsim.replication.checkpoint.folder import CheckpointError, CheckpointFolder
from pairsim.replication.checkpoint.format import Checkpoint, PendingCheckpoint
from pairsim.replication.checkpoint.shown_file import ShownTickFile
from pairsim.replication.waiting import join

log = structlog.get_logger()

_JOIN_SECONDS = 5.0
_URGENT_PERIOD_SECONDS = 1.0


class CheckpointStore:
    """The newest states of one area in one folder; at most one checkpoint is written at a time."""

    def __init__(self, folder: Path, area: str, schema: Schema, period: float) -> None:
        """Writes a checkpoint at most every `period` seconds, unless one is urgent."""
        self._folder = CheckpointFolder(folder, area, schema)
        self._area, self._period = area, period
        self._shown = ShownTickFile(folder)
        self._durable = 0
        self._next = self._next_urgent = 0.0
        self._writer: threading.Thread | None = None

    @property
    def durable(self) -> int:
        """The tick of the newest checkpoint on disk; 0 without one."""
        return self._durable

    @property
    def shown(self) -> int:
        """The newest tick that was shown; it outlives the process."""
        return self._shown.tick

    def show(self, tick: int) -> None:
        """Keeps the number of the newest tick that is shown from now on."""
        self._shown.tick = tick

    def load(self) -> Checkpoint | None:
        """Returns the newest checkpoint on disk, or None."""
        loaded = self._folder.load_newest()
        if loaded is None:
            return None
        self._durable = loaded.tick
        return loaded

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
        """Starts to write a checkpoint if one is due and the last one is finished.

        An urgent checkpoint is due once a second, so that a full disk is not tried a hundred times a second.
        """
        due = self._next_urgent if urgent else self._next
        if now < due or tick == self._durable or (self._writer and self._writer.is_alive()):
            return
        self._next, self._next_urgent = now + self._period, now + _URGENT_PERIOD_SECONDS
        pending = self._folder.begin(view, borders, tick, term, digest)
        self._writer = threading.Thread(target=self._write, args=(pending,), name="checkpoint", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Waits up to 5 seconds for the checkpoint that is being written."""
        self._shown.flush()
        if self._writer is not None:
            join(self._writer, _JOIN_SECONDS)

    def _write(self, pending: PendingCheckpoint) -> None:
        try:
            self._folder.write(pending)
        except CheckpointError as error:
            log.error("checkpoint failed", area=self._area, tick=pending.tick, reason=str(error))  # noqa: TRY400 - the sentence says all
            return
        self._durable = pending.tick
