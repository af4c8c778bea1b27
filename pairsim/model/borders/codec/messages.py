"""The codec of messages, and of what belongs to them."""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from pairsim.model.authority import MapVersion
from pairsim.model.borders.answers import KEY_BYTES, MAX_REASON_CHARACTERS, CommandMemory
from pairsim.model.borders.codec.columns import (
    BorderCodecError,
    PackedColumn,
    pack,
    pack_columns,
    unpack,
    unpack_columns,
    unpack_ids,
)
from pairsim.model.borders.messages import Bundle, Clock, ForwardedAnswer, ForwardedCommand, LinkMessage, Sequence
from pairsim.model.commands import MAX_ENTITY, MAX_ID_LENGTH
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.state.schema import Schema

Reason = Annotated[str, msgspec.Meta(max_length=MAX_REASON_CHARACTERS)]

_MOST_ATTEMPTS = 2**31 - 1


class _PackedMemory(msgspec.Struct, frozen=True, array_like=True):
    keys: bytes
    entities: bytes
    attempts: bytes
    reasons: dict[int, Reason]


class _PackedBundle(msgspec.Struct, frozen=True, array_like=True, tag="bundle"):
    returned: bool
    version: MapVersion
    ids: bytes
    sizes: bytes
    columns: list[PackedColumn]
    memory: _PackedMemory


class _PackedMessage(msgspec.Struct, frozen=True, array_like=True):
    body: _PackedBundle | ForwardedCommand | ForwardedAnswer
    clock: Clock
    taken: Sequence


_messages = msgspec.msgpack.Decoder(_PackedMessage)


def encode_message(message: LinkMessage) -> bytes:
    """Returns a message as bytes. The message keeps them, since it is sent again and again."""
    if message.packed is None:
        body = message.body
        packed = _pack_bundle(body) if isinstance(body, Bundle) else body
        message.packed = msgspec.msgpack.encode(_PackedMessage(packed, message.clock, message.taken))
    return message.packed


def decode_message(data: bytes, schema: Schema) -> LinkMessage:
    """Returns the message in its bytes.

    Args:
        data: The bytes.
        schema: The components of the area's entities.

    Raises:
        BorderCodecError: The bytes are not a message between areas with these components.
    """
    try:
        packed = _messages.decode(data)
    except UNDECODABLE as error:
        raise BorderCodecError(f"not a message: {error}") from error
    match packed.body:
        case _PackedBundle():
            body: Bundle | ForwardedCommand | ForwardedAnswer = _unpack_bundle(packed.body, schema)
        case ForwardedCommand(command=command):
            if not 0 <= command.entity <= MAX_ENTITY or not 1 <= len(command.id) <= MAX_ID_LENGTH:
                raise BorderCodecError("a forwarded command has an entity or an id that no command can have")
            body = packed.body
        case ForwardedAnswer():
            if len(packed.body.key) != KEY_BYTES:
                raise BorderCodecError(f"a forwarded answer has a key of {len(packed.body.key)} bytes")
            body = packed.body
    message = LinkMessage(body, packed.clock, packed.taken)
    message.packed = data
    return message


def _pack_bundle(bundle: Bundle) -> _PackedBundle:
    memory = bundle.memory
    return _PackedBundle(
        bundle.returned,
        bundle.version,
        pack(bundle.ids),
        pack(bundle.sizes),
        pack_columns(bundle.columns),
        _PackedMemory(memory.keys, pack(memory.entities), pack(memory.attempts), dict(memory.reasons)),
    )


def _unpack_bundle(packed: _PackedBundle, schema: Schema) -> Bundle:
    ids = unpack_ids("the entities", packed.ids)
    if not len(ids):
        raise BorderCodecError("a message has no entities")
    sizes = unpack("the sizes of groups", packed.sizes, low=1, high=len(ids))
    if int(sizes.sum()) != len(ids):
        raise BorderCodecError(f"the groups have {int(sizes.sum())} entities, and {len(ids)} ids are there")
    return Bundle(
        ids,
        unpack_columns(packed.columns, schema, len(ids)),
        sizes,
        version=packed.version,
        memory=_unpack_memory(packed.memory, ids),
        returned=packed.returned,
    )


def _unpack_memory(packed: _PackedMemory, ids: np.typing.NDArray[np.int64]) -> CommandMemory:
    entities = unpack("the entities of commands", packed.entities)
    attempts = unpack("the attempts of commands", packed.attempts, low=1, high=_MOST_ATTEMPTS, count=len(entities))
    keys = packed.keys
    if len(keys) != KEY_BYTES * len(entities):
        raise BorderCodecError(f"the keys of {len(entities)} commands have {len(keys)} bytes")
    if len({keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)}) != len(entities):
        raise BorderCodecError("a command comes twice")
    if not np.isin(entities, ids).all():
        raise BorderCodecError("a command belongs to an entity that is not there")
    if packed.reasons and not 0 <= min(packed.reasons) <= max(packed.reasons) < len(entities):
        raise BorderCodecError("a reason belongs to a command that is not there")
    return CommandMemory(keys, entities, attempts, packed.reasons)
