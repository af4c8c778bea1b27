"""The codec of the difference of two states of one area's borders, by which a passive follows its active.

A delta has what the base lacks: messages after a sequence, how far each outbox is acknowledged, the numbers of entities
that changed, answers after a serial, departures after a clock. It names the digest of its base, so it changes no other
state than the one that it was made for.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pairsim.model.borders.area_map import AreaMap
from pairsim.model.borders.codec.columns import BorderCodecError, pack, unpack_ascending, unpack_ids
from pairsim.model.borders.codec.states import (
    FORMAT,
    OwnNumber,
    PackedAnswers,
    PackedDepartures,
    PackedLink,
    PackedNumbers,
    check_serial,
    pack_answers,
    pack_departures,
    pack_link,
    pack_numbers,
    restore_answers,
    restore_link,
    unpack_departures,
    unpack_numbers,
)
from pairsim.model.borders.departures import Departures
from pairsim.model.borders.entity_sets import EntityNumbers, IdSet
from pairsim.model.borders.link import Link
from pairsim.model.borders.messages import Clock
from pairsim.model.borders.state import BorderCounters, BorderState
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.model.state.schema import Schema

_NEVER = 2**62
"""A clock after all others."""


class _PackedChanges(msgspec.Struct, frozen=True, array_like=True):
    """The changed numbers of entities: those that have none any more, and new ones."""

    gone: bytes
    put: PackedNumbers


class _PackedBorderDelta(msgspec.Struct, frozen=True, array_like=True):
    format: Literal[1]
    base: Annotated[int, msgspec.Meta(ge=0)]
    number: OwnNumber
    clock: Clock
    map: AreaMap | None
    counters: BorderCounters
    links: list[PackedLink]
    ahead: _PackedChanges | None
    held: _PackedChanges | None
    queue: bytes | None
    serial: Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
    answers: PackedAnswers
    oldest: Clock
    departures: PackedDepartures


_deltas = msgspec.msgpack.Decoder(_PackedBorderDelta)


def encode_delta(base: BorderState, state: BorderState) -> bytes:
    """Returns the difference between a state and a later one as bytes."""
    ticks = state.departures.ticks
    newest = base.departures.ticks[-1].clock if base.departures.ticks else -1
    links = [
        pack_link(area, link, max(link.acknowledged, known.sent))
        for area, link in sorted(state.links.items())
        if _has_changed(known := base.links.get(area) or Link(), link) or area not in base.links
    ]
    return msgspec.msgpack.encode(
        _PackedBorderDelta(
            FORMAT,
            base.digest(),
            state.number,
            state.clock,
            None if state.map.digest == base.map.digest else state.map,
            state.counters,
            links,
            _changes(base.ahead, state.ahead),
            _changes(base.held, state.held),
            None if state.queue is base.queue else pack(state.queue),
            state.answers.serial,
            pack_answers(state.answers.since(base.answers.serial)),
            ticks[0].clock if ticks else _NEVER - 1,
            pack_departures(tuple(tick for tick in ticks if tick.clock > newest)),
        )
    )


def apply_delta(base: BorderState, data: bytes, schema: Schema) -> BorderState:
    """Returns the later state to which a delta leads; the base stays as it is.

    Args:
        base: The state that the delta was made for.
        data: The bytes of the delta.
        schema: The components of the area's entities.

    Raises:
        BorderCodecError: The bytes are not a delta for this state.
    """
    try:
        packed = _deltas.decode(data)
    except UNDECODABLE as error:
        raise BorderCodecError(f"not a delta of borders: {error}") from error
    if packed.base != base.digest():
        raise BorderCodecError("the delta was made for another state of the borders")
    state = base.copy()
    state.number, state.clock, state.counters = packed.number, packed.clock, packed.counters
    if packed.map is not None:
        state.map = packed.map
    for changed in packed.links:
        link = state.link(changed.area)
        known = [message for sequence, message in link.outbox.items() if sequence > changed.acknowledged]
        restore_link(link, changed, known, schema)
    state.ahead, state.held = _changed(base.ahead, packed.ahead), _changed(base.held, packed.held)
    if packed.queue is not None:
        state.queue = unpack_ids("the queue", packed.queue)
    restore_answers(state.answers, packed.answers)
    check_serial(state.answers, packed.serial)
    kept = base.departures.after(packed.oldest - 1)
    newest = kept.ticks[-1].clock if kept.ticks else -1
    state.departures = Departures((*kept.ticks, *unpack_departures(packed.departures, newest)))
    return state


def _has_changed(known: Link, link: Link) -> bool:
    return (known.sent, known.acknowledged, known.taken, known.waiting) != (
        link.sent,
        link.acknowledged,
        link.taken,
        link.waiting,
    )


def _changes(base: EntityNumbers, numbers: EntityNumbers) -> _PackedChanges | None:
    if numbers is base:
        return None
    gone = base.ids[~numbers.mask(base.ids)]
    found, places = IdSet(base.ids).find(numbers.ids)
    same = found[numbers.numbers[found] == base.numbers[places]]
    unchanged = EntityNumbers(numbers.ids[same], numbers.numbers[same])
    return _PackedChanges(pack(gone), pack_numbers(numbers.without(unchanged.ids)))


def _changed(base: EntityNumbers, packed: _PackedChanges | None) -> EntityNumbers:
    if packed is None:
        return base
    put = unpack_numbers(packed.put)
    return base.without(unpack_ascending("the entities without a number", packed.gone)).put(put.ids, put.numbers)
