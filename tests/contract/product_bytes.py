"""One of the few places where the guard touches the product: what is written to disk and sent to other processes.

As in `product.py`, who moves or renames something in the product changes this file, and no golden file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from unittest import mock

import msgspec
import numpy as np

from pairsim.client import BackupSummary, ProcessClient
from pairsim.model.area import AreaSpec
from pairsim.model.assignment import Assignment
from pairsim.model.borders import Answer, AnswerKind, BorderState
from pairsim.model.borders.answers import command_key
from pairsim.model.commands import Command
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from pairsim.replication.checkpoint.folder import CheckpointFolder
from pairsim.replication.checkpoint.format import decode_checkpoint
from pairsim.replication.log.records import Record, decode_record, encode_record
from pairsim.replication.log.tick_log import TickLog
from pairsim.replication.process.witness import WitnessProcess
from pairsim.replication.raft.journal import Journal
from pairsim.replication.raft.messages import Message, decode_message, encode_message
from pairsim.replication.raft.storage import MemoryStorage
from pairsim.replication.sync.buffers import BufferPool
from pairsim.replication.sync.codec import apply_delta, apply_keyframe, delta, keyframe, pack
from pairsim.replication.sync.messages import ToActive, ToSubscriber, decode_to_subscriber, encode_to_subscriber
from pairsim.replication.sync.snapshots import SnapshotTaker
from pairsim.replication.sync.state import state_digest
from pairsim.server.reads.backup import packed
from pairsim_controller.kube.manager import Manager
from pairsim_controller.kube.metrics import ControllerMetrics as ControllerMeters
from pairsim_controller.local.data_folder import DataFolder
from pairsim_controller.plan.authority import MapRecord
from pairsim_controller.reconcile.backup_folder import BackupFolder
from tests.unit.replication.process.processes import settings

SCHEMA = Schema((Component("position", "float32", 3), Component("mass", "float64"), Component("kind", "uint8")))
_BOOT, _IDENTITY = "a-boot", "north/1/a"

# --- tables


def table(count: int = 3, shift: float = 0.0) -> Table:
    """Returns a table with fixed content."""
    made = Table(SCHEMA)
    numbers = np.arange(count)
    made.spawn(
        numbers.astype(np.int64) + 1,
        {
            "position": (np.arange(3 * count).reshape(count, 3) / 4 + shift).astype(np.float32),
            "mass": numbers / 8,
            "kind": numbers.astype(np.uint8),
        },
    )
    return made


def digest(of: Table) -> str:
    """Returns the digest of a state."""
    return f"{of.digest():016x}"


def backup(of: Table, tick: int) -> bytes:
    """Returns a backup, gzipped."""
    return b"".join(packed(of, tick))


def state_frames() -> tuple[bytes, bytes]:
    """Returns the packed columns of a keyframe and of the delta that follows it."""
    before, after = SnapshotTaker().take(table()), SnapshotTaker().take(table(4, 1.0))
    return pack(keyframe(before)), pack(delta(before, after))


def after_frames(key: bytes, change: bytes) -> str:
    """Returns the digest of the state to which two frames lead."""
    made = Table(SCHEMA)
    apply_keyframe(made, key)
    apply_delta(made, change, BufferPool())
    return digest(made)


# --- records and messages


def record(document: list[object]) -> bytes:
    """Returns a record of the log as it is stored, from what it says."""
    return encode_record(msgspec.convert(document, Record))


def record_read(data: bytes) -> object:
    """Returns what a record says."""
    return msgspec.to_builtins(decode_record(data), builtin_types=(bytes,))


def message(document: dict[str, object]) -> bytes:
    """Returns a Raft message as it is sent, from what it says."""
    return encode_message(msgspec.convert(document, Message))


def message_read(data: bytes) -> object:
    """Returns what a Raft message says."""
    return msgspec.to_builtins(decode_message(data), builtin_types=(bytes,))


def to_subscriber(document: list[object]) -> bytes:
    """Returns the head of a message of the state stream."""
    data = encode_to_subscriber(msgspec.convert(document, ToSubscriber))
    assert msgspec.to_builtins(decode_to_subscriber(data)[0]) == document
    return data


def to_active(document: list[object]) -> bytes:
    """Returns what a subscriber of the state stream says."""
    return msgspec.msgpack.encode(msgspec.convert(document, ToActive))


# --- files


def journals() -> dict[str, bytes]:
    """Returns a journal after some entries, and the same one after a compaction."""
    with mock.patch("random.getrandbits", return_value=42):
        storage = MemoryStorage()
        journal = Journal(storage, _BOOT, _IDENTITY)
    journal.setCurrentTerm(1, "a")
    journal.promote_to_voter({"a": 42, "b": 43})
    first, second, third = (b"\1", 1, 0), (b"two", 2, 1), (b"three", 3, 1)
    for entry in (first, second, third, (b"four", 4, 1)):
        journal.add(*entry)
    journal.deleteEntriesFrom(3)
    journal.setRaftCommitIndex(2)
    journal.onOneSecondTimer()
    found = {"entries": bytes(storage.data)}
    journal.compact(lambda: b"snapshot", first, second)
    return found | {"compacted": bytes(storage.data)}


def journal_read(data: bytes) -> dict[str, object]:
    """Returns what a member remembers that starts on a journal."""
    journal = Journal(MemoryStorage(data), _BOOT, _IDENTITY)
    snapshot = journal.snapshot
    return {
        "entries": journal[:],
        "term": journal.getCurrentTerm(),
        "vote": journal.getVotedForNodeId(),
        "commit": journal.getRaftCommitIndex(),
        "enrolled": journal.is_voter,
        "founders": journal.initial_members,
        "incarnation": journal.incarnation,
        "snapshot": None if snapshot is None else msgspec.to_builtins(snapshot, builtin_types=(bytes,)),
    }


def log_snapshot(records: list[bytes]) -> bytes:
    """Returns the snapshot of a log that applied these records."""
    log = TickLog()
    for data in records:
        log.apply(data)
    return log.snapshot()


def log_read(snapshot: bytes) -> tuple[int, int]:
    """Returns term and tick of a log that takes a snapshot's place."""
    log = TickLog()
    log.restore(snapshot)
    return log.position()


def checkpoint_written(folder: Path) -> Path:
    """Writes a checkpoint, and returns its file."""
    writer = CheckpointFolder(folder, "north", SCHEMA)
    made, borders = table(), BorderState(0)
    borders.answers.put(command_key("c1"), Answer(AnswerKind.REJECTED, 1, 2, 0, "why", 12))
    writer.write(writer.begin(made, borders, 12, 3, state_digest(made, borders)))
    (path,) = folder.iterdir()
    return path


def checkpoint_read(folder: Path) -> dict[str, object] | None:
    """Returns what the newest checkpoint in a folder says."""
    found = CheckpointFolder(folder, "north", SCHEMA).load_newest()
    if found is None:
        return None
    return {"tick": found.tick, "term": found.term, "digest": digest(found.table)}


def checkpoint_refusal(data: bytes) -> str:
    """Returns why the content of a file is not read."""
    try:
        decode_checkpoint(data, "north", SCHEMA)
    except ValueError as error:
        return str(error)
    return ""


def member_folder(folder: Path, document: dict[str, object]) -> None:
    """Has a process become a member of an area, so that it writes its files."""
    own = settings("w", folder)
    host = WitnessProcess(own)
    try:
        witness = {"replica": "w", "peer": own.peer, "url": "http://127.0.0.1:13"}
        host.assign(msgspec.convert(document | {"generation": 1, "joins": [], "witness": witness}, Assignment))
    finally:
        host.close()


def world_folder(folder: Path, document: dict[str, object], maps: dict[str, object]) -> None:
    """Writes the files of a local world."""
    data = DataFolder(folder)
    data.write_assignments({"north": msgspec.convert(document, Assignment)})
    data.write_backup_files({"north": "north.jsonl.gz"})
    data.write_maps(msgspec.convert(maps, dict[str, MapRecord]))
    data.check((msgspec.convert(document["spec"], AreaSpec),), release=False)


def backup_name(folder: Path) -> str:
    """Returns the name of a backup of the area `north` at tick 12."""

    async def made(_area: str, save: Callable[[bytes], Awaitable[None]], *, seconds: float) -> BackupSummary:
        await save(b"x")
        return BackupSummary(tick=12, entities=int(seconds > 0))

    return asyncio.run(BackupFolder(folder).write(cast("ProcessClient", SimpleNamespace(backup=made)), "north"))


def restored(line: bytes) -> object:
    """Returns what a line of a backup says as a command."""
    return msgspec.to_builtins(msgspec.json.decode(line, type=Command))


def lease_name() -> str:
    """Returns the name of the Lease that controllers of a world share."""
    candidate = Manager(cast("object", None), "worlds", "me", ControllerMeters())  # type: ignore[arg-type]
    return candidate._lease._name
