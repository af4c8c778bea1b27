"""The codec of a whole `BorderState`, for keyframes and checkpoints. The bounds are not part of it."""

from __future__ import annotations

from typing import Annotated, Literal, cast

import msgspec
import numpy as np

from pairsim.model.authority import AreaNumber
from pairsim.model.borders.answers import KEY_BYTES, Answer, AnswerChunk, AnswerWindow, Given
from pairsim.model.borders.area_map import AreaMap
from pairsim.model.borders.codec.columns import BorderCodecError, pack, unpack, unpack_ascending, unpack_ids
from pairsim.model.borders.codec.messages import decode_message, encode_message
from pairsim.model.borders.departures import Departures, TickDepartures
from pairsim.model.borders.entity_sets import EntityNumbers
from pairsim.model.borders.limits import BorderLimits
from pairsim.model.borders.link import Link
from pairsim.model.borders.messages import Acknowledgement, Clock, LinkMessage, Sequence
from pairsim.model.borders.state import BorderCounters, BorderState
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.state.schema import Schema

FORMAT: Literal[1] = 1
"""The version of the format."""

OwnNumber = Annotated[int, msgspec.Meta(ge=0, lt=2**31)]
"""The number of the area itself, 0 before its first grant."""

_Serial = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]


class PackedLink(msgspec.Struct, frozen=True, array_like=True):
    """A link; `outbox` has its newest messages."""

    area: AreaNumber
    sent: Sequence
    acknowledged: Sequence
    taken: Sequence
    waiting: tuple[Acknowledgement, ...]
    outbox: list[bytes]


class PackedNumbers(msgspec.Struct, frozen=True, array_like=True):
    """Ids in ascending order, and their numbers."""

    ids: bytes
    numbers: bytes


class PackedAnswers(msgspec.Struct, frozen=True, array_like=True):
    """Answers in the order of their serials: keys, serials, and answers."""

    keys: bytes
    serials: bytes
    answers: list[Answer]


class PackedDepartures(msgspec.Struct, frozen=True, array_like=True):
    """Departures of several ticks: clocks and numbers of entities by tick, ids and areas by entity."""

    clocks: bytes
    counts: bytes
    ids: bytes
    areas: bytes


class _PackedBorderState(msgspec.Struct, frozen=True, array_like=True):
    format: Literal[1]
    number: OwnNumber
    clock: Clock
    map: AreaMap
    counters: BorderCounters
    links: list[PackedLink]
    ahead: PackedNumbers
    held: PackedNumbers
    queue: bytes
    serial: _Serial
    answers: list[PackedAnswers]
    departures: PackedDepartures


_states = msgspec.msgpack.Decoder(_PackedBorderState)


def encode_state(state: BorderState) -> bytes:
    """Returns a whole state as bytes."""
    return msgspec.msgpack.encode(
        _PackedBorderState(
            FORMAT,
            state.number,
            state.clock,
            state.map,
            state.counters,
            [pack_link(area, link, link.acknowledged) for area, link in sorted(state.links.items())],
            pack_numbers(state.ahead),
            pack_numbers(state.held),
            pack(state.queue),
            state.answers.serial,
            [_pack_chunk(chunk) for chunk in state.answers.chunks() if chunk.entries],
            pack_departures(state.departures.ticks),
        )
    )


def decode_state(data: bytes, schema: Schema, limits: BorderLimits) -> BorderState:
    """Returns the state in its bytes.

    Args:
        data: The bytes.
        schema: The components of the area's entities.
        limits: The bounds of the area.

    Raises:
        BorderCodecError: The bytes are not a state of an area with these components.
    """
    try:
        packed = _states.decode(data)
    except UNDECODABLE as error:
        raise BorderCodecError(f"not a state of borders: {error}") from error
    state = BorderState(packed.number, limits=limits)
    state.clock, state.map, state.counters = packed.clock, packed.map, packed.counters
    for link in packed.links:
        restore_link(state.link(link.area), link, [], schema)
    state.ahead, state.held = unpack_numbers(packed.ahead), unpack_numbers(packed.held)
    state.queue = unpack_ids("the queue", packed.queue)
    for answers in packed.answers:
        restore_answers(state.answers, answers)
    check_serial(state.answers, packed.serial)
    state.departures = Departures(unpack_departures(packed.departures, 0))
    return state


def pack_link(area: int, link: Link, after: int) -> PackedLink:
    """Returns a link with its messages after a sequence."""
    outbox = [encode_message(message) for sequence, message in link.outbox.items() if sequence > after]
    return PackedLink(area, link.sent, link.acknowledged, link.taken, link.waiting, outbox)


def restore_link(link: Link, packed: PackedLink, known: list[LinkMessage], schema: Schema) -> None:
    """Replaces the content of a link; `known` are the messages of the outbox before those of the packed one.

    Raises:
        BorderCodecError: The messages are not those of the outbox.
    """
    outbox = known + [decode_message(message, schema) for message in packed.outbox]
    try:
        link.restore(
            sent=packed.sent,
            acknowledged=packed.acknowledged,
            taken=packed.taken,
            waiting=packed.waiting,
            outbox=outbox,
        )
    except ValueError as error:
        raise BorderCodecError(f"the link to area {packed.area}: {error}") from error


def pack_numbers(numbers: EntityNumbers) -> PackedNumbers:
    """Returns numbers of entities as bytes."""
    return PackedNumbers(pack(numbers.ids), pack(numbers.numbers))


def unpack_numbers(packed: PackedNumbers) -> EntityNumbers:
    """Returns numbers of entities.

    Raises:
        BorderCodecError: The ids are not in order, or the numbers do not belong to them.
    """
    ids = unpack_ascending("the entities with numbers", packed.ids)
    return EntityNumbers(ids, unpack("the numbers of entities", packed.numbers, count=len(ids)))


def pack_answers(answers: list[tuple[bytes, Given]]) -> PackedAnswers:
    """Returns answers as bytes."""
    serials = pack(np.array([given.serial for _, given in answers], np.int64))
    return PackedAnswers(b"".join(key for key, _ in answers), serials, [given.answer for _, given in answers])


def restore_answers(window: AnswerWindow, packed: PackedAnswers) -> None:
    """Adds answers to a window.

    Raises:
        BorderCodecError: The answers do not belong together, or do not continue the window.
    """
    serials = unpack("the serials of answers", packed.serials, low=1, count=len(packed.answers)).tolist()
    if len(packed.keys) != KEY_BYTES * len(serials):
        raise BorderCodecError(f"the keys of {len(serials)} answers have {len(packed.keys)} bytes")
    if any(a >= b for a, b in zip([window.serial, *serials], serials, strict=False)):
        raise BorderCodecError("the serials of answers do not ascend")
    keys = [packed.keys[at : at + KEY_BYTES] for at in range(0, len(packed.keys), KEY_BYTES)]
    known = window.find(keys)
    for key, answer, at in zip(keys, packed.answers, serials, strict=True):
        window.put(key, answer, at, new=key not in known)
        known[key] = answer


def check_serial(window: AnswerWindow, serial: int) -> None:
    """Checks that a window has a serial after it was restored.

    Raises:
        BorderCodecError: It has another one.
    """
    if window.serial != serial:
        raise BorderCodecError("the newest serial is not that of the newest answer")


def _pack_chunk(chunk: AnswerChunk) -> PackedAnswers:
    """Returns a chunk of answers as its bytes, which it keeps until it changes."""
    if chunk.packed is None:
        chunk.packed = msgspec.msgpack.encode(pack_answers(list(chunk.entries.items())))
    return cast("PackedAnswers", msgspec.Raw(chunk.packed))


def pack_departures(ticks: tuple[TickDepartures, ...]) -> PackedDepartures:
    """Returns departures as bytes."""
    return PackedDepartures(
        pack(np.array([tick.clock for tick in ticks], np.int64)),
        pack(np.array([len(tick.ids) for tick in ticks], np.int64)),
        b"".join(pack(tick.ids) for tick in ticks),
        b"".join(pack(tick.areas) for tick in ticks),
    )


def unpack_departures(packed: PackedDepartures, after: int) -> tuple[TickDepartures, ...]:
    """Returns departures of ticks after a clock.

    Raises:
        BorderCodecError: The columns do not belong together, or the clocks do not ascend.
    """
    clocks = unpack("the clocks of departures", packed.clocks).tolist()
    counts = unpack("the numbers of departures", packed.counts, low=1, count=len(clocks))
    ids = unpack("the departed entities", packed.ids, count=int(counts.sum()))
    areas = unpack("the areas of departed entities", packed.areas, high=2**31 - 1, count=len(ids)).astype(np.int32)
    if any(a >= b for a, b in zip([after, *clocks], clocks, strict=False)):
        raise BorderCodecError("the clocks of departures do not ascend")
    ends = np.cumsum(counts)[:-1]
    parts = zip(clocks, np.split(ids, ends), np.split(areas, ends), strict=True) if clocks else ()
    return tuple(TickDepartures(clock, part, where) for clock, part, where in parts)
