"""Checkpoints: an area's state on disk, so that a restart goes on from there and the log can be short.

Written to a temporary file and renamed, so that a crash or a full disk leaves the older ones as they are; the newest
two are kept. Loading verifies the checksum of the file and the digest of the state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog
import xxhash

from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table
from pairsim.replication.sync.codec import Draft as StateDraft
from pairsim.replication.sync.codec import Encoder, apply_keyframe, pack

log = structlog.get_logger()

KEPT = 2
_PATTERN = "checkpoint-*.bin"
_CHECKSUM = 16


class CheckpointError(Exception):
    """A checkpoint could not be written; a sentence for the operator."""


class Draft(msgspec.Struct):
    """A checkpoint before it is written: copied, not yet packed.

    Its commands that were `rejected`, by place and why, are not in the log yet: the next record says them.
    """

    area: str
    tick: int
    term: int
    digest: int
    rejected: dict[int, str]
    state: StateDraft


class _File(msgspec.Struct, frozen=True, array_like=True):
    area: str
    tick: int
    term: int
    digest: int
    state: bytes
    rejected: dict[int, str] = {}


class Checkpoint(msgspec.Struct, frozen=True):
    """A loaded one."""

    tick: int
    term: int
    table: Table
    rejected: dict[int, str]


class Checkpointer:
    """The checkpoints of one area in one folder."""

    def __init__(self, folder: Path, area: str, schema: Schema) -> None:
        """Removes what a killed run left half written."""
        self._folder, self._area, self._schema = folder, area, schema
        self._encoder = Encoder(schema)
        self._useless: set[Path] = set()
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("checkpoint-*.tmp"):
            leftover.unlink()

    def draft(self, table: Table, tick: int, term: int, digest: int, rejected: Mapping[int, str]) -> Draft:
        """Copies the state; quick, on the thread that owns the table."""
        self._encoder.rebase(table)
        return Draft(self._area, tick, term, digest, dict(rejected), self._encoder.keyframe())

    def write(self, draft: Draft) -> None:
        """Packs and writes it; any thread, one at a time.

        Raises:
            CheckpointError: It could not be written; the older ones are as they were.
        """
        body = msgspec.msgpack.encode(
            _File(draft.area, draft.tick, draft.term, draft.digest, pack(draft.state), draft.rejected)
        )
        path = self._folder / f"checkpoint-{draft.tick:012d}.bin"
        temporary = path.with_suffix(".tmp")
        try:
            temporary.write_bytes(xxhash.xxh3_128_digest(body) + body)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise CheckpointError(f"cannot write {path}: {error.strerror}") from error
        for old in sorted(self._folder.glob(_PATTERN))[:-KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()

    def load_newest(self) -> Checkpoint | None:
        """The newest one that is whole."""
        for path in sorted(self._folder.glob(_PATTERN), reverse=True):
            try:
                return self._load(path)
            except (OSError, ValueError, msgspec.MsgspecError) as error:
                if path not in self._useless:
                    log.warning("a checkpoint is of no use", file=str(path), reason=str(error))
                    self._useless.add(path)
        return None

    def _load(self, path: Path) -> Checkpoint:
        data = path.read_bytes()
        body = data[_CHECKSUM:]
        if xxhash.xxh3_128_digest(body) != data[:_CHECKSUM]:
            raise ValueError("its checksum is wrong")
        file = msgspec.msgpack.decode(body, type=_File)
        if file.area != self._area:
            raise ValueError(f"it belongs to the area {file.area}")
        table = Table(self._schema)
        apply_keyframe(table, file.state)
        if table.digest() != file.digest:
            raise ValueError("its digest is wrong")
        return Checkpoint(file.tick, file.term, table, file.rejected)


__all__ = ["KEPT", "Checkpoint", "CheckpointError", "Checkpointer", "Draft"]
