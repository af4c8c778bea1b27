"""The records that the log of an area holds: the inputs of its ticks, orders about its engines, changes of its members.

A record is a tagged, typed struct; a payload that does not fit a type is refused. Field order and tags are the format
of the log on the wire and on disk.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pairsim.model.assignment import Assignment
from pairsim.model.commands import Command
from pairsim.model.decode_errors import UNDECODABLE


class RecordError(ValueError):
    """The payload of a log entry is not a record."""


class Open(msgspec.Struct, frozen=True, tag="open", array_like=True):
    """Opens a term: the first record of every leadership. Records of any other term are ignored from then on."""

    term: int


class Tick(msgspec.Struct, frozen=True, tag="tick", array_like=True):
    """All inputs of one tick.

    Attributes:
        term: The term of the active that ran the tick.
        tick: The number of the tick.
        digest: Digest of the state before the tick, at tick - 1.
        floor: Every member may forget the records up to this tick: a state at or after it is on disk.
        commands: The commands of the tick. The state before it says which of them run.
        inputs: What the tick takes in over borders (`pairsim/model/borders`), encoded; empty if there is nothing.
    """

    term: int
    tick: int
    digest: int
    floor: int
    commands: list[Command]
    inputs: bytes = b""


class Skip(msgspec.Struct, frozen=True, tag="skip", array_like=True):
    """Leaves a command out of the last tick, at which every engine fails and which nobody has seen.

    Attributes:
        term: The term of the active.
        tick: The tick.
        command: The id of the command, which is rejected as "skipped".
    """

    term: int
    tick: int
    command: str


class Engines(msgspec.Struct, frozen=True, tag="engines", array_like=True):
    """Puts the simulator's code into force with which ticks are computed from `tick` on.

    Attributes:
        term: The term of the active.
        tick: The next tick that the active computes.
        code: The fingerprint of the code.
    """

    term: int
    tick: int
    code: str


class Seal(msgspec.Struct, frozen=True, tag="seal", array_like=True):
    """Ends a generation after `tick`: later records are ignored. The generation `next` starts from this state."""

    term: int
    tick: int
    next: Assignment


Order = Skip | Engines
Record = Open | Tick | Order | Seal

_records: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)
_encoder = msgspec.msgpack.Encoder()


def encode_record(record: Record) -> bytes:
    """Returns a record as the payload of a log entry."""
    return _encoder.encode(record)


def commands_bytes(commands: Sequence[Command]) -> int:
    """Returns how many bytes of a record the commands take."""
    return len(_encoder.encode(commands))


def decode_record(payload: bytes) -> Record:
    """Returns the record that a payload holds.

    Raises:
        RecordError: The payload is not a record.
    """
    try:
        return _records.decode(payload)
    except UNDECODABLE as error:
        raise RecordError(f"not a record: {error}") from error
