"""The messages between a node and its engine, version 1 of the protocol.

The node asks, the engine answers: every request has exactly one answer, and one request is under way at a time. Bodies
are JSON, or packed numbers in little endian; commands are MessagePack, as in the records of the log. What an engine
sends is foreign: it is bounded and checked before it is used. `framing.py` has the frame of a message, and HELLO.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

import msgspec

from pairsim.engine.framing import PROTOCOL, EngineProtocolError, MessageKind, frame
from pairsim.engine.layout import MAX_COLUMNS, MemoryLayout
from pairsim.engine.port import MAX_PERCEIVED
from pairsim.model.command_schema import CommandSchema, Operation
from pairsim.model.commands import Command
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.simulation.foreign_text import foreign_text
from pairsim.model.simulation.simulator import rejection_text
from pairsim.model.state.schema import Component, Schema

_STEP = struct.Struct("<IIQQ")
_DONE = struct.Struct("<QQIId")
_REJECTION = struct.Struct("<II")
_MAX_SENTENCE, _MAX_TRACEBACK, _MAX_ENGINE, _MAX_REASON, _MAX_CODE = 4_096, 32_768, 200, 200, 64
_IDS_CHANGED = 1

_commands: msgspec.msgpack.Decoder[list[Command]] = msgspec.msgpack.Decoder(list[Command])
_encoder = msgspec.msgpack.Encoder()


class Turn(msgspec.Struct, frozen=True):
    """Makes it the engine's turn on a table. Answer: Done, or Perceived for `PERCEIVE`.

    Attributes:
        table: The number of the table.
        ids_changed: Whether the node changed ids or their order since the engine's last answer.
        tick: The tick to compute, or to perceive for.
        rows: The number of rows of the table.
        commands: The commands of the tick.
    """

    table: int
    ids_changed: bool
    tick: int
    rows: int
    commands: Sequence[Command] = ()


class Ready(msgspec.Struct, frozen=True):
    """The simulator is loaded and rehearsed.

    Attributes:
        protocol: The version of the protocol that the engine speaks.
        engine: The name and version of the engine.
        components: The simulator's components.
        operations: The simulator's own operations.
        files: The author's source files, whose lines are shown in errors.
        code: The fingerprint of the code that was loaded; if it is empty, the node takes that of the files, or of the
            program.
        perceives: Whether the engine wants `PERCEIVE` before each tick.
    """

    protocol: int
    engine: str
    components: list[Component]
    operations: list[Operation] = []
    files: list[str] = []
    code: str = ""
    perceives: bool = True


class Done(msgspec.Struct, frozen=True):
    """The table is at the tick that was asked for.

    Attributes:
        tick: The tick; 0 after `MEMORY` and `POPULATE`.
        rows: The number of rows of the table.
        ids_changed: Whether ids or their order changed.
        seconds: How long the call took.
        rejected: The reasons of rejected commands, by place in the tick.
    """

    tick: int = 0
    rows: int = 0
    ids_changed: bool = False
    seconds: float = 0.0
    rejected: Mapping[int, str] = {}


class Perceived(msgspec.Struct, frozen=True):
    """The commands that the simulator perceived."""

    commands: list[Command]


class Raised(msgspec.Struct, frozen=True):
    """The simulator's code raised: the sentence for people, and the traceback."""

    sentence: str
    traceback: str = ""


Answer = Ready | Done | Perceived | Raised


# --- requests


def encode_memory(layout: MemoryLayout) -> bytes:
    """Returns the message that describes the shared memory."""
    numbers = (layout.capacity, layout.table_bytes, *layout.offsets)
    return frame(MessageKind.MEMORY, struct.pack(f"<{len(numbers)}Q", *numbers))


def decode_memory(body: bytes) -> MemoryLayout:
    """Returns the layout that a body holds. Raises EngineProtocolError."""
    if len(body) % 8 or len(body) < 24:
        raise EngineProtocolError(f"sent a MEMORY of {len(body)} bytes")
    capacity, table_bytes, *offsets = struct.unpack(f"<{len(body) // 8}Q", body)
    return MemoryLayout(capacity, table_bytes, tuple(offsets))


def encode_turn(kind: MessageKind, turn: Turn) -> bytes:
    """Returns the message of a `POPULATE`, `STEP` or `PERCEIVE`."""
    flags = _IDS_CHANGED if turn.ids_changed else 0
    if kind is MessageKind.POPULATE:
        return frame(kind, turn.table.to_bytes(4, "little"))
    packed = _STEP.pack(turn.table, flags, turn.tick, turn.rows)
    return frame(kind, packed + _encoder.encode(turn.commands) if kind is MessageKind.STEP else packed)


def decode_turn(kind: MessageKind, body: bytes) -> Turn:
    """Returns the turn that the body of a `POPULATE`, `STEP` or `PERCEIVE` holds. Raises EngineProtocolError."""
    try:
        if kind is MessageKind.POPULATE:
            return Turn(int.from_bytes(body[:4], "little"), ids_changed=True, tick=0, rows=0)
        table, flags, tick, rows = _STEP.unpack_from(body)
        commands = _commands.decode(memoryview(body)[_STEP.size :]) if kind is MessageKind.STEP else []
    except (*UNDECODABLE, struct.error) as error:
        raise EngineProtocolError(f"sent a {kind.name} that cannot be read: {error}") from error
    return Turn(table, bool(flags & _IDS_CHANGED), tick, rows, commands)


# --- answers


def encode_answer(answer: Answer) -> bytes:
    """Returns the message of an answer.

    Raises:
        EngineProtocolError: It is longer than a message may be.
    """
    if isinstance(answer, Done):
        return frame(MessageKind.DONE, _done_body(answer))
    if isinstance(answer, Perceived):
        return frame(MessageKind.PERCEIVED, _encoder.encode(answer.commands))
    return frame(MessageKind.READY if isinstance(answer, Ready) else MessageKind.RAISED, msgspec.json.encode(answer))


def decode_answer(kind: int, body: bytes, commands: int) -> Answer:
    """Returns the answer that a message of an engine holds.

    Args:
        kind: The kind of the message.
        body: Its body.
        commands: The number of commands in the request; a `DONE` with more rejections is not decoded.

    Raises:
        EngineProtocolError: The engine broke the protocol.
    """
    try:
        match kind:
            case MessageKind.DONE:
                return _decode_done(body, commands)
            case MessageKind.PERCEIVED:
                return Perceived(_checked_commands(_commands.decode(body)))
            case MessageKind.READY:
                return _checked_ready(msgspec.json.decode(body, type=Ready))
            case MessageKind.RAISED:
                return _bounded_raised(msgspec.json.decode(body, type=Raised))
    except (*UNDECODABLE, struct.error) as error:
        raise EngineProtocolError(
            f"sent a {MessageKind(kind).name} that cannot be read: {foreign_text(error, 200)}"
        ) from error
    raise EngineProtocolError(f"sent a message of the unknown kind {kind}")


def check_done(done: Done, tick: int, commands: int, capacity: int) -> None:
    """Checks an answer against its request.

    Args:
        done: The answer.
        tick: The tick that was asked for.
        commands: The number of commands of the tick.
        capacity: The most rows that a table holds.

    Raises:
        EngineProtocolError: The answer belongs to another request, or its numbers are out of range.
    """
    if done.tick != tick:
        raise EngineProtocolError(f"answered for tick {done.tick} when it was asked for tick {tick}")
    if done.rows > capacity:
        raise EngineProtocolError(f"reported {done.rows:,} rows of a table that holds {capacity:,}")
    wrong = next((place for place in done.rejected if place >= commands), None)
    if wrong is not None:
        raise EngineProtocolError(f"rejected command {wrong} of a tick with {commands} commands")


def schema_of(ready: Ready) -> Schema:
    """Returns the schema of an engine's components.

    Raises:
        EngineProtocolError: The components or operations do not fit together.
    """
    try:
        schema = Schema(tuple(ready.components))
        CommandSchema(schema, ready.operations)
    except ValueError as error:
        raise EngineProtocolError(f"sent a READY that cannot be used: {error}") from error
    return schema


def _done_body(done: Done) -> bytes:
    flags = _IDS_CHANGED if done.ids_changed else 0
    parts = [_DONE.pack(done.tick, done.rows, flags, len(done.rejected), done.seconds)]
    for place, reason in done.rejected.items():
        text = reason.encode(errors="replace")
        parts += (_REJECTION.pack(place, len(text)), text)
    return b"".join(parts)


def _decode_done(body: bytes, commands: int) -> Done:
    tick, rows, flags, count, seconds = _DONE.unpack_from(body)
    if count > commands:
        raise EngineProtocolError(f"rejected {count:,} commands of a request with {commands:,}")
    rejected = {}
    place = _DONE.size
    for _ in range(count):
        index, length = _REJECTION.unpack_from(body, place)
        place += _REJECTION.size
        if place + length > len(body):
            raise EngineProtocolError("sent a DONE that ends within a reason")
        rejected[index] = rejection_text(body[place : place + length].decode(errors="replace"))
        place += length
    if place != len(body):
        raise EngineProtocolError(f"sent a DONE with {len(body) - place} bytes too many")
    return Done(tick, rows, bool(flags & _IDS_CHANGED), seconds if 0 <= seconds < math.inf else 0.0, rejected)


def _checked_commands(commands: list[Command]) -> list[Command]:
    if len(commands) > MAX_PERCEIVED:
        raise EngineProtocolError(f"perceived {len(commands):,} commands in a tick, and {MAX_PERCEIVED:,} are the most")
    return commands


def _checked_ready(ready: Ready) -> Ready:
    if ready.protocol != PROTOCOL:
        raise EngineProtocolError(
            f"speaks version {ready.protocol} of the protocol and its node version {PROTOCOL}: install the same"
        )
    if len(ready.components) > MAX_COLUMNS:
        raise EngineProtocolError(f"has {len(ready.components):,} components, and {MAX_COLUMNS} are the most")
    engine, code = foreign_text(ready.engine, _MAX_ENGINE), foreign_text(ready.code, _MAX_CODE)
    return msgspec.structs.replace(ready, engine=engine, code=code)


def _bounded_raised(raised: Raised) -> Raised:
    return Raised(
        foreign_text(raised.sentence, _MAX_SENTENCE).strip() or "the simulator raised without a sentence",
        foreign_text(raised.traceback, _MAX_TRACEBACK),
    )
