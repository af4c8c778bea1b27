"""The checkpoint files of an area, which let a replica restart from a recent state and keep the log short.

A file is written under a temporary name and then renamed, so a crash or a full disk leaves the older files unchanged.
The newest `FILES_KEPT` files are kept.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import structlog

from pairsim.model.borders import BorderState
from pairsim.model.borders.codec import encode_state
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import TableView
from pairsim.replication.checkpoint.format import (
    Checkpoint,
    PendingCheckpoint,
    decode_checkpoint,
    encode_checkpoint,
    state_difference,
)
from pairsim.replication.sync.codec import keyframe
from pairsim.replication.sync.snapshots import Snapshot, SnapshotTaker

log = structlog.get_logger()

FILES_KEPT = 2
"""How many files of an area are kept."""

_PATTERN = "checkpoint-*.bin"


class CheckpointError(Exception):
    """A checkpoint could not be written; the message is a sentence for the operator."""


class CheckpointFolder:
    """The checkpoints of one area in one folder."""

    def __init__(self, folder: Path, area: str, schema: Schema) -> None:
        """Creates the folder if necessary, and removes files that a killed process left incomplete."""
        self._folder, self._area, self._schema = folder, area, schema
        self._taker = SnapshotTaker()
        self._unreadable: set[Path] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("checkpoint-*.tmp"):
            leftover.unlink()

    def begin(self, view: TableView, borders: BorderState, tick: int, term: int, digest: int) -> PendingCheckpoint:
        """Copies the state, unless it is a snapshot. This is quick and runs on the thread that owns the table."""
        if not isinstance(view, Snapshot):
            view = self._taker.take(view)
            self._taker.forget()
        return PendingCheckpoint(self._area, tick, term, digest, keyframe(view), encode_state(borders))

    def write(self, pending: PendingCheckpoint) -> None:
        """Packs and writes a checkpoint. Any thread, one checkpoint at a time.

        Raises:
            CheckpointError: The file could not be written; the older files are unchanged.
        """
        path = self._folder / f"checkpoint-{pending.tick:012d}.bin"
        temporary = path.with_suffix(".tmp")
        content = encode_checkpoint(pending)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise CheckpointError(f"cannot write {path}: {error.strerror}") from error
        for old in sorted(self._folder.glob(_PATTERN))[:-FILES_KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()

    def load_newest(self) -> Checkpoint | None:
        """Returns the newest readable checkpoint, or None; logs each unreadable file once."""
        for path in sorted(self._folder.glob(_PATTERN), reverse=True):
            try:
                return decode_checkpoint(path.read_bytes(), self._area, self._schema)
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                if path not in self._unreadable:
                    log.warning("ignored unreadable checkpoint", file=str(path), reason=str(error))
                    self._unreadable.add(path)
        return None


def newest_state_difference(folder: Path, area: str, schema: Schema) -> str:
    """Returns how the columns of the newest undamaged checkpoint in a folder differ from a schema.

    Returns an empty text if they fit, or without such a checkpoint.
    """
    for path in sorted(folder.glob(_PATTERN), reverse=True):
        with contextlib.suppress(OSError, ValueError, msgspec.MsgspecError):
            return state_difference(path.read_bytes(), area, schema)
    return ""
