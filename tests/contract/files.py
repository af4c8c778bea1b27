"""Files and messages between processes: their bytes, and that they can be read again."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path

import msgspec
from numcodecs import blosc

from tests.contract import examples, golden, product_bytes, product_peers
from tests.contract.documents import readable

_DIGEST = 2**64 - 1
RECORDS: dict[str, list[object]] = {
    "open": ["open", 3],
    "tick": ["tick", 3, 1, _DIGEST, 0, [examples.COMMAND, examples.FOLLOWED], "Ym9yZGVycw=="],
    "tick with nothing": ["tick", 3, 2, 7, 1, [{"id": "c", "op": "despawn", "entity": 2**63 - 1}]],
    "seal": ["seal", 3, 2, examples.ASSIGNMENT],
}
_ENTRIES = [[b"one", 1, 0], [b"two", 2, 3]]
MESSAGES: dict[str, dict[str, object]] = {
    "heartbeat": {"type": "append_entries", "term": 3, "commit_index": 2},
    "entries": {
        "type": "append_entries", "term": 3, "commit_index": 2, "entries": _ENTRIES, "prevLogIdx": 1, "prevLogTerm": 0,
    },
    "first entries": {
        "type": "append_entries", "term": 3, "commit_index": 2, "entries": [], "prevLogIdx": None, "prevLogTerm": None,
    },
    "chunk": {"type": "append_entries", "term": 3, "commit_index": 2, "serialized": [3, 2, 0, b"data", None]},
    "last chunk": {"type": "append_entries", "term": 3, "commit_index": 2, "serialized": [3, 2, 4, b"end", _ENTRIES]},
    "next index": {"type": "next_node_idx", "term": 3, "next_node_idx": 4, "reset": True, "success": False},
    "vote asked for": {"type": "request_vote", "term": 3, "last_log_index": 2, "last_log_term": 1},
    "vote": {"type": "response_vote", "term": 3},
    "transfer": {"type": "timeout_now", "term": 3},
    "vote asked for before": {"type": "pre_vote", "term": 3, "round": 1, "last_index": 2, "last_term": 1},
    "vote before": {"type": "pre_vote_granted", "round": 1},
    "ping": {
        "type": "ping", "quarantined": False, "incarnation": 2**62, "founders": {"a": 1, "b": 2}, "capable": True,
    },
}  # fmt: skip
COLUMN = {"name": "mass", "dtype": "float64", "width": 1, "low": 0.0, "high": None}
TO_SUBSCRIBER: dict[str, list[object]] = {
    "keyframe": ["frame", 3, 12, -1, 11, "Ym9yZGVycw==", [COLUMN]],
    "delta": ["frame", 3, 12, 11, 11, "Ym9yZGVycw==", None],
    "committed": ["committed", 3, 12],
}
TO_ACTIVE: dict[str, list[object]] = {"ack": ["ack", 12, 10], "resend": ["resend", True]}


def wire() -> dict[str, object]:
    """Returns every message between processes and every record of the log, in hex."""
    messages = {name: product_bytes.message(said) for name, said in MESSAGES.items()}
    records = {name: product_bytes.record(said) for name, said in RECORDS.items()}
    return {
        "raft": {name: _both(data, product_bytes.message_read(data)) for name, data in messages.items()},
        "records": {name: _both(data, product_bytes.record_read(data)) for name, data in records.items()},
        "state stream": {name: product_bytes.to_subscriber(said).hex() for name, said in TO_SUBSCRIBER.items()},
        "state stream, back": {name: product_bytes.to_active(said).hex() for name, said in TO_ACTIVE.items()},
        "state frames": _state_frames(),
        "channel": {name: _short(data) for name, data in product_peers.transcript().items()},
        "handshake": without_prose(readable(product_peers.handshakes())),
    }


def _both(data: bytes, read: object) -> dict[str, object]:
    return {"hex": data.hex(), "reads as": readable(read)}


def _short(data: bytes) -> str:
    return data.hex() if len(data) < 1000 else f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}"


def without_prose(value: object) -> object:
    """Returns the answers of a handshake without their sentences."""
    if isinstance(value, dict):
        return {key: without_prose(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_prose(inner) for inner in value]
    return re.sub(r"^[a-z].* .*$", "a sentence", value) if isinstance(value, str) else value


def _state_frames() -> dict[str, object]:
    key, delta = product_bytes.state_frames()
    leads = product_bytes.after_frames(key, delta)
    return {"keyframe": _unpacked(key), "delta": _unpacked(delta), "digest after both": leads}


def _unpacked(data: bytes) -> object:
    """Returns a state frame with its columns unpacked: how well they are packed is no contract."""
    rows, columns = msgspec.msgpack.decode(data)
    return [rows, {name: blosc.decompress(column).hex() for name, column in columns.items()}]


def files(folder: Path) -> dict[str, object]:
    """Returns the content of every kind of file."""
    journals = {name: _both(data, product_bytes.journal_read(data)) for name, data in product_bytes.journals().items()}
    records = [product_bytes.record(RECORDS[name]) for name in ("open", "tick", "tick with nothing", "seal")]
    snapshot = product_bytes.log_snapshot(records)
    position = product_bytes.log_read(snapshot)
    made = product_bytes.table()
    return {
        "journal": journals,
        "snapshot of the log": _both(snapshot, position),
        "digest": {"three entities": product_bytes.digest(made), "none": product_bytes.digest(product_bytes.table(0))},
        "checkpoint": _checkpoint(folder / "checkpoints"),
        "backup": gzip.decompress(product_bytes.backup(made, 12)).decode().splitlines(),
        "name of a backup": _stamped(product_bytes.backup_name(folder / "backups")),
        "folders": _folders(folder),
    }


def _checkpoint(folder: Path) -> dict[str, object]:
    path = product_bytes.checkpoint_written(folder)
    data = path.read_bytes()
    number, area, tick, term, digest, state, borders = msgspec.msgpack.decode(data[16:], strict=False)
    return {
        "name": path.name,
        "bytes before the document": 16,
        "document": readable([number, area, tick, term, digest, _unpacked(state), borders]),
        "reads as": readable(product_bytes.checkpoint_read(folder)),
    }


def _folders(folder: Path) -> dict[str, object]:
    product_bytes.member_folder(folder / "member", examples.ASSIGNMENT)
    product_bytes.world_folder(folder / "world", examples.ASSIGNMENT, examples.MAPS)
    return {
        "of a member": _listed(folder / "member"),
        "assignment.json": _layout(folder / "member/areas/north/assignment.json"),
        "of a local world": _listed(folder / "world"),
        "areas.json": _layout(folder / "world/areas.json"),
        "saved.json": _layout(folder / "world/saved.json"),
        "maps.json": _layout(folder / "world/maps.json"),
    }


def _listed(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.glob("**/*") if path.is_file())
    return {str(path.relative_to(folder)): _for_whom(path) for path in paths}


def _for_whom(path: Path) -> str:
    return "for others to read as well" if path.stat().st_mode & 0o044 else "for its owner alone"


def _layout(path: Path) -> list[str]:
    """Returns the lines of a JSON file, with ports that differ at each run as 0."""
    text = re.sub(r"127\.0\.0\.1:\d{4,}", "127.0.0.1:0", path.read_text(encoding="utf-8"))
    json.loads(text)
    return text.splitlines()


def _stamped(name: str) -> str:
    return re.sub(r"\d{8}T\d{6}Z", "<time>", name)


KEPT = golden.FOLDER / "checkpoint.hex"
"""A checkpoint as it was written once; it must be readable for ever, so it is written only if it is not there."""


def keep_checkpoint(folder: Path) -> None:
    """Writes the checkpoint that is kept, unless it is there."""
    if not KEPT.exists():
        KEPT.write_text(product_bytes.checkpoint_written(folder).read_bytes().hex() + "\n", encoding="ascii")
