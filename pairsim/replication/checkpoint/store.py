"""A replica's checkpoints, written beside the ticking: copied by the replica thread, written by another."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import structlog

from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table
from pairsim.replication.checkpoint.format import Checkpoint, Checkpointer, CheckpointError, Draft

log = structlog.get_logger()

_FINAL = 5.0
_URGENT = 1.0


class CheckpointDisk:
    """The newest states of one area in one folder; at most one is being written at a time."""

    def __init__(self, folder: Path, area: str, schema: Schema, period: float) -> None:
        """Writes a checkpoint every `period` seconds."""
        self._checkpoints = Checkpointer(folder, area, schema)
        self._area, self._period = area, period
        self._durable = 0
        self._next = self._next_urgent = 0.0
        self._writer: threading.Thread | None = None

    @property
    def durable(self) -> int:
        """The tick of the newest one that is written."""
        return self._durable

    def load(self) -> Checkpoint | None:
        """The newest one."""
        loaded = self._checkpoints.load_newest()
        if loaded is None:
            return None
        self._durable = loaded.tick
        return loaded

    def offer(
        self,
        table: Table,
        tick: int,
        term: int,
        digest: int,
        now: float,
        *,
        rejected: Mapping[int, str],
        urgent: bool,
    ) -> None:
        """Writes a checkpoint if it is time and the last one is finished; an urgent one at most once a second."""
        due = self._next_urgent if urgent else self._next
        if now < due or tick == self._durable or (self._writer and self._writer.is_alive()):
            return
        self._next, self._next_urgent = now + self._period, now + _URGENT
        draft = self._checkpoints.draft(table, tick, term, digest, rejected)
        self._writer = threading.Thread(target=self._write, args=(draft,), name="checkpoint", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Waits for the one under way."""
        if self._writer is not None:
            self._writer.join(_FINAL)

    def _write(self, draft: Draft) -> None:
        try:
            self._checkpoints.write(draft)
        except CheckpointError as error:
            log.error("no checkpoint was written", area=self._area, tick=draft.tick, reason=str(error))  # noqa: TRY400 - the sentence says all
            return
        self._durable = draft.tick
