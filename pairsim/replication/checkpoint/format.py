"""The content of a checkpoint file.

A file is the XXH3-128 checksum of its body (16 bytes) and the body, a MessagePack array of the format's number, area,
tick, term, digest of the state, packed entities, and borders. Decoding verifies the checksum of the
file and the digest of the state.
"""

from __future__ import annotations

import msgspec
import xxhash

from pairsim.model.borders import DEFAULT_LIMITS, BorderState
from pairsim.model.borders.codec import decode_state
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table
from pairsim.replication.sync.codec import PendingFrame, apply_keyframe, keyframe_difference, pack
from pairsim.replication.sync.state import state_digest

FORMAT = 2

_CHECKSUM_BYTES = 16


class PendingCheckpoint(msgspec.Struct):
    """A checkpoint whose state is copied but not packed yet.

    Attributes:
        area: The name of the area.
        tick, term: The tick of the state, and the term of that tick.
        digest: The digest of the state.
        state: The copied entities.
        borders: The encoded borders.
    """

    area: str
    tick: int
    term: int
    digest: int
    state: PendingFrame
    borders: bytes


class _CheckpointFile(msgspec.Struct, frozen=True, array_like=True):
    format: int
    area: str
    tick: int
    term: int
    digest: int
    state: bytes
    borders: bytes


class _Version(msgspec.Struct, frozen=True, array_like=True):
    """The begin of a file; the first format began with the name of the area."""

    format: int | str


class Checkpoint(msgspec.Struct, frozen=True):
    """A loaded checkpoint; its attributes are those of `PendingCheckpoint`."""

    tick: int
    term: int
    table: Table
    borders: BorderState


def encode_checkpoint(pending: PendingCheckpoint) -> bytes:
    """Packs a checkpoint and returns the content of its file; call it once per checkpoint."""
    body = msgspec.msgpack.encode(
        _CheckpointFile(
            FORMAT,
            pending.area,
            pending.tick,
            pending.term,
            pending.digest,
            pack(pending.state),
            pending.borders,
        )
    )
    return xxhash.xxh3_128_digest(body) + body


def decode_checkpoint(data: bytes, area: str, schema: Schema) -> Checkpoint:
    """Returns the checkpoint in the content of a file.

    Raises:
        ValueError: The checksum or the digest is wrong, or the checkpoint belongs to another area or schema.
        msgspec.MsgspecError: The body cannot be decoded.
    """
    file = _verified(data, area)
    table = Table(schema)
    apply_keyframe(table, file.state)
    borders = decode_state(file.borders, schema, DEFAULT_LIMITS)
    if state_digest(table, borders) != file.digest:
        raise ValueError("its digest is wrong")
    return Checkpoint(file.tick, file.term, table, borders)


def state_difference(data: bytes, area: str, schema: Schema) -> str:
    """Returns how the columns in the content of a file differ from a schema; empty if they fit.

    Raises:
        ValueError: The checksum is wrong, or the checkpoint belongs to another area.
        msgspec.MsgspecError: The body cannot be decoded.
    """
    return keyframe_difference(schema, _verified(data, area).state)


def _verified(data: bytes, area: str) -> _CheckpointFile:
    body = data[_CHECKSUM_BYTES:]
    if xxhash.xxh3_128_digest(body) != data[:_CHECKSUM_BYTES]:
        raise ValueError("its checksum is wrong")
    version = msgspec.msgpack.decode(body, type=_Version).format
    if version != FORMAT:
        number = 1 if isinstance(version, str) else version
        raise ValueError(f"it has format {number}, and this version of pairsim has format {FORMAT}")
    file = msgspec.msgpack.decode(body, type=_CheckpointFile)
    if file.area != area:
        raise ValueError(f"it belongs to the area {file.area}")
    return file
