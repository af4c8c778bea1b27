"""The frame of a message between a node and its engine, and HELLO, the first one.

A message is the length of its body (u32), its kind (u32) and its body, in little endian. This module imports little: a
node sends HELLO before it loads what an area needs, so that the engine loads its simulator at the same time.
"""

from __future__ import annotations

import enum
import struct

import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.decode_errors import UNDECODABLE

PROTOCOL = 1
MAX_BODY_BYTES = 8 * 2**20
HEADER = struct.Struct("<II")


class EngineProtocolError(ValueError):
    """A message breaks the protocol. The text is a phrase whose subject is the sender."""


class MessageKind(enum.IntEnum):
    """The kinds of messages: requests up to 15, answers from 16 on."""

    HELLO = 1
    MEMORY = 2
    POPULATE = 3
    STEP = 4
    PERCEIVE = 5
    READY = 16
    DONE = 17
    PERCEIVED = 18
    RAISED = 19


class EngineHello(msgspec.Struct, frozen=True):
    """Asks the engine to load, prepare and rehearse a simulator. Answer: Ready."""

    protocol: int
    simulator: str
    area: AreaSpec


def frame(kind: MessageKind, body: bytes) -> bytes:
    """Returns a message.

    Raises:
        EngineProtocolError: It is longer than a message may be.
    """
    if len(body) > MAX_BODY_BYTES:
        raise EngineProtocolError(f"made a {kind.name} of {len(body):,} bytes, and {MAX_BODY_BYTES:,} are the most")
    return HEADER.pack(len(body), kind) + body


def encode_hello(spec: AreaSpec) -> bytes:
    """Returns the message that asks for the simulator of an area."""
    return frame(MessageKind.HELLO, msgspec.json.encode(EngineHello(PROTOCOL, spec.simulator, spec)))


def decode_hello(body: bytes) -> EngineHello:
    """Returns the request that a body holds. Raises EngineProtocolError."""
    try:
        return msgspec.json.decode(body, type=EngineHello)
    except UNDECODABLE as error:
        raise EngineProtocolError(f"sent a HELLO that cannot be read: {error}") from error
