"""Who simulates what: the map of a plane and the grants that bring it to the areas. Pure.

The model: a plane has areas. An area *claims* a cell as long as its user wants it: the box of its document, with the
replicas of its recorded assignment. The map of the plane is all cells, in a version. The *record* is the durable memory
of a controller: the newest version, the digest of its cells, the number of each area, and the highest number. It is
written before a grant of its version is sent. The cells themselves are made again from the claims, so that a controller
that starts anew continues from the record of the one before.

The transitions of the record, each a call of `next_map`:
    Nothing changed: the cells have the recorded digest, and no area knows a higher version. The record stays.
    Something changed: a cell or its replicas, or an area knows a higher version than is recorded, since the record was
        lost. The version becomes one more than the highest version that is recorded or known.
    An area is new: it gets the next number that was never used.
    An area is not wanted any more: it loses its cell and its number. It still receives grants, so that it learns that
        its cell is gone.

Invariants (each has a property test):
    1. A version never goes down, and two areas that know one version know equal maps.
    2. No number is given twice, and an area keeps its number for as long as it has its cell.
    3. Cells do not overlap. Of two areas that claim the same place the one with the lower number has it.
    4. A grant goes to an active that knows a lower version, and to no other process. It is repeated until the active
       reports the version: what a neighbour knows does not depend on any one request.
    5. An area without a grant is never waited for: the map changes whether or not all areas know it.

A grant holds the whole map, so the bytes of one version grow with the square of the number of areas. `pause_seconds`
spreads the versions of a large plane in time.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from pairsim.model.assignment import Member
from pairsim.model.authority import Authority, Cell, PlaneMap
from pairsim.model.geometry import Box, overlapping_pair
from pairsim.model.status import ReplicaStatus
from pairsim_controller.plan.view import GrantAuthority

COALESCE_SECONDS = 0.2
"""How long a change waits for others that belong into the same version, such as the members of a new area."""

GRANT_BYTES_PER_SECOND = 40e6
"""What the grants of a plane may take of the controller's network: 350 areas take about a second for each version."""

MAX_NAMED_GAPS = 3

_REMEMBERED_PLANES = 64
"""Planes whose boxes are looked at once for as long as they do not change: a thousand of them take 0.1 s."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """An area of a plane, as the map needs it.

    Attributes:
        area: The name of the area.
        world: The box of the plane.
        bounds: The box that the area claims; None if it is not wanted any more.
        replicas: The replicas of its recorded assignment; empty without one.
        active: The status of its active; None if no active can be reached.
        known: The highest version that a replica of the area reports.
    """

    area: str
    world: Box
    bounds: Box | None
    replicas: tuple[Member, ...] = ()
    active: ReplicaStatus | None = None
    known: int = 0


class MapRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The durable memory of the newest map of a plane.

    Attributes:
        version: Its version; 0 before the first map.
        highest: The highest number that was ever given to an area.
        numbers: The numbers of the areas that have a cell.
        digest: The digest of its cells, 16 hex digits.
    """

    version: int = 0
    highest: int = 0
    numbers: dict[str, int] = {}
    digest: str = ""


class PlannedMap(msgspec.Struct, frozen=True):
    """The map that follows, and the record that has to be written before it is granted.

    Attributes:
        record: The record to write; it has the version of the last one if nothing changed.
        map: The map.
        size: The length of its encoded cells in bytes.
        displaced: The areas that claim the place of another area and have no cell therefore, with the other area.
    """

    record: MapRecord
    map: PlaneMap
    size: int
    displaced: tuple[tuple[str, str], ...] = ()


def next_map(plane: str, record: MapRecord, claims: Sequence[Claim]) -> PlannedMap:
    """Returns the map of a plane as it should be now.

    Args:
        plane: The name of the plane.
        record: The record of its newest map.
        claims: All of its areas.
    """
    wanted = {claim.area: claim for claim in claims if claim.bounds is not None}
    newest = max([record.version, *(claim.known for claim in claims)])
    numbers, highest = _numbers(record, wanted)
    cells, displaced = _cells(wanted, numbers)
    encoded = msgspec.msgpack.encode(cells)
    digest = hashlib.blake2b(encoded, digest_size=8).hexdigest()
    changed = digest != record.digest if newest else bool(cells)
    version = newest + 1 if changed or newest != record.version else newest
    following = MapRecord(version=version, highest=highest, numbers=numbers, digest=digest)
    made = PlaneMap(plane=plane, version=version, cells=cells)
    return PlannedMap(following if version != record.version else record, made, len(encoded), displaced)


def _numbers(record: MapRecord, wanted: Iterable[str]) -> tuple[dict[str, int], int]:
    """Returns the numbers of the wanted areas, and the highest number that was ever given."""
    highest = max([record.highest, *record.numbers.values()])
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    for area in sorted(wanted):
        number = record.numbers.get(area, 0)
        if number < 1 or number in taken:  # new, or a record that was edited
            number = highest = highest + 1
        numbers[area] = number
        taken.add(number)
    return numbers, highest


def _cells(wanted: dict[str, Claim], numbers: dict[str, int]) -> tuple[tuple[Cell, ...], tuple[tuple[str, str], ...]]:
    """Returns the cells, sorted by number, and the areas that have none since another one has their place."""
    cells = sorted(
        (
            Cell(number=numbers[area], area=area, bounds=claim.bounds, replicas=claim.replicas)
            for area, claim in wanted.items()
            if claim.bounds is not None
        ),
        key=lambda cell: cell.number,
    )
    without = _displaced(tuple(cell.bounds for cell in cells))
    displaced = tuple((cells[index].area, cells[by].area) for index, by in without.items())
    return tuple(cell for index, cell in enumerate(cells) if index not in without), displaced


@functools.lru_cache(maxsize=_REMEMBERED_PLANES)
def _displaced(boxes: tuple[Box, ...]) -> dict[int, int]:
    """Returns which boxes have to go so that no two overlap, each with the earlier box that it overlaps."""
    left = dict(enumerate(boxes))
    without = {}
    while (pair := overlapping_pair(list(left.values()))) is not None:
        first, second = (list(left)[index] for index in pair)
        without[second] = first
        del left[second]
    return without


def grants(made: PlaneMap, claims: Iterable[Claim]) -> Iterator[GrantAuthority]:
    """Yields a grant for each active that knows a lower version."""
    for claim in claims:
        if claim.active is not None and claim.active.version < made.version:
            authority = Authority(area=claim.area, version=made.version, cells=made.cells)
            yield GrantAuthority(claim.active.replica, authority)


def pause_seconds(planned: PlannedMap) -> float:
    """Returns how long no other version follows a map, so that the grants do not fill the controller's network."""
    return max(COALESCE_SECONDS, planned.size * len(planned.map.cells) / GRANT_BYTES_PER_SECOND)


@functools.lru_cache(maxsize=_REMEMBERED_PLANES)
def gap_message(plane: str, world: Box, cells: tuple[Box, ...]) -> str:
    """Returns a sentence about the parts of a plane that are in no area; empty if every part is in one.

    Args:
        plane: The name of the plane.
        world: The box of the plane.
        cells: The boxes of its areas, which do not overlap.
    """
    rest = [world]
    for cell in cells:
        rest = [part for box in rest for part in _without(box, cell)]
    if not rest:
        return ""
    named = " or ".join(_extent(box, world) for box in rest[:MAX_NAMED_GAPS])
    more = f", nor {len(rest) - MAX_NAMED_GAPS} more boxes" if len(rest) > MAX_NAMED_GAPS else ""
    return f"plane {plane}: no area has {named}{more}; what moves there stays with the area that it comes from"


def _without(box: Box, cell: Box) -> Iterator[Box]:
    """Yields the rest of a box beside a cell, in boxes that do not overlap."""
    if not box.overlaps(cell):
        yield box
        return
    low, high = list(box.min), list(box.max)
    for axis in range(3):
        if low[axis] < cell.min[axis]:
            yield _box(low, [*high[:axis], cell.min[axis], *high[axis + 1 :]])
            low[axis] = cell.min[axis]
        if cell.max[axis] < high[axis]:
            yield _box([*low[:axis], cell.max[axis], *low[axis + 1 :]], high)
            high[axis] = cell.max[axis]


def _box(low: Sequence[float], high: Sequence[float]) -> Box:
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def _extent(box: Box, world: Box) -> str:
    """Returns where a box is: its extent along the axes on which it is smaller than the world."""
    parts = [
        f"{name} in [{low:.10g}, {high:.10g})"
        for name, low, high, least, most in zip("xyz", box.min, box.max, world.min, world.max, strict=True)
        if (low, high) != (least, most)
    ]
    return " and ".join(parts) or "any place"
