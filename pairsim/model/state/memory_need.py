"""The memory that an area's state needs in a replica, and the refusals of areas and entities for the lack of it.

A replica holds each column three times: in the table, which it shares with its engine, and in two snapshots, of the
tick before and of the new one. The lookup of rows by entity costs as much as some columns. These are lower bounds:
frames and checkpoints that are being packed, and the simulator's own memory, come on top. So a refused state would not
fit. The table grows where it is, without a copy.
"""

from __future__ import annotations

from collections.abc import Mapping

from pairsim.model.state.schema import Schema

_COPIES = 3
_PLACE_BYTES, _FEWEST_PLACES = 16, 64
"""Of the lookup by id: the bytes of a place, which are an id and a row, and the smallest number of places."""

_USED_SHARE = 0.6
"""The share of used places above which the lookup moves to a larger table, before the old one is freed."""

_ID_BYTES = 8
_AREAS_NAMED = 3
_RESERVE_SHARE, _MAX_RESERVE_BYTES = 10, 256 * 2**20
"""The reserve for frames, checkpoints and logs in the making: this part of the limit, and at most so many bytes."""


_LARGE_SHARE = 4
"""A process that uses less than this part of the limit is not the one that uses up the memory."""


def row_bytes(schema: Schema) -> int:
    """Returns the bytes of an entity's id and columns."""
    return _ID_BYTES + sum(component.row_bytes for component in schema)


def state_bytes(entities: int, row: int) -> int:
    """Returns how many bytes a replica needs at least for so many entities of `row` bytes."""
    return entities * _COPIES * row + lookup_bytes(entities)


def lookup_bytes(entities: int) -> int:
    """Returns the bytes of the lookup by id when it is made for so many entities."""
    return _PLACE_BYTES * _places(entities)


def area_refusal(area: str, entities: int, row: int, limit: int) -> str:
    """Returns why an area cannot begin with so many entities; empty if it can.

    Args:
        area: The name of the area.
        entities: The number of entities at tick 0.
        row: The bytes of an entity's row.
        limit: The bytes that the process may use.
    """
    needed = state_bytes(entities, row)
    if needed <= limit:
        return ""
    return (
        f"area {area} with {entities:,} entities of {row} bytes needs at least {size(needed)} of memory in each"
        f" replica, and this process may use {size(limit)}: give it more memory, or begin with fewer entities"
    )


def world_refusal(areas: Mapping[str, int], limit: int) -> str:
    """Returns why one machine cannot begin two replicas of each of these areas; empty if it can.

    Args:
        areas: The bytes that one replica of each area needs at least.
        limit: The bytes that all processes together may use.
    """
    needed = 2 * sum(areas.values())
    if needed <= limit:
        return ""
    largest = sorted(areas, key=lambda area: -areas[area])[:_AREAS_NAMED]
    named = ", ".join(f"{area} {size(2 * areas[area])}" for area in largest)
    more = f" and {len(areas) - len(largest)} more" if len(areas) > len(largest) else ""
    return (
        f"the areas need at least {size(needed)} of memory in two replicas each ({named}{more}), and this machine lets"
        f" them use {size(limit)}: begin with fewer entities, or use a larger machine"
    )


def spawn_refusal(entities: int, more: int, row: int, *, limit: int, available: int, own: int) -> str:
    """Returns why no more entities can be spawned; empty if they can.

    Nothing is refused while other processes use up the memory, since it is not for the entities then that it runs out.

    Args:
        entities: The number of entities in the table.
        more: How many entities come to them: those of the batch, and those that wait for a tick.
        row: The bytes of an entity's row.
        limit: The bytes that the process may use.
        available: The part of it that is free.
        own: The part of it that the process itself uses, with its engine.
    """
    if own < limit // _LARGE_SHARE:
        return ""
    needed = more * _COPIES * row + min(_MAX_RESERVE_BYTES, limit // _RESERVE_SHARE)
    fullest = 1 << max(0, int(entities / _USED_SHARE - 1)).bit_length()
    if entities + more > _USED_SHARE * max(_FEWEST_PLACES, fullest):
        needed += lookup_bytes(entities + more)
    if needed <= available:
        return ""
    return (
        f"no memory for more entities: {entities:,} are there, {more:,} more need {size(needed)} with a reserve,"
        f" and {size(available)} of {size(limit)} are free: despawn entities, or give the replicas more memory"
    )


def most_entities(entities: int, row: int, *, limit: int, available: int, own: int) -> int | None:
    """Returns how many entities the table may have before spawns are refused; None if nothing limits them yet.

    Args:
        entities: The number of entities in the table.
        row: The bytes of an entity's row.
        limit: The bytes that the process may use.
        available: The part of it that is free.
        own: The part of it that the process itself uses, with its engine.
    """

    def fits(more: int) -> bool:
        return not spawn_refusal(entities, more, row, limit=limit, available=available, own=own)

    low, high = 0, available // row + 1
    if fits(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return entities + low


def _places(entities: int) -> int:
    """Returns how many places a new lookup has: a power of two, more than twice as many as entities."""
    return max(_FEWEST_PLACES, 1 << (2 * entities).bit_length())


def size(count: int) -> str:
    """Returns a number of bytes for people, such as 1.5 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
