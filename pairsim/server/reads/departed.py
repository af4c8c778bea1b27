"""Which entities left an area, as its observers read it: they went to another area, or were removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pairsim.model.borders import DIED, BorderState, absent

if TYPE_CHECKING:
    from pairsim.protocol.interest import AreaSnapshot, Ids


def with_departures(snapshot: AreaSnapshot, present: Ids, borders: BorderState, since: int) -> AreaSnapshot:
    """Returns a snapshot that knows the departures after a clock.

    Args:
        snapshot: The content of an area of interest.
        present: The ids of all entities of the area at the snapshot's tick.
        borders: The borders at this tick.
        since: The clock.
    """
    snapshot = msgspec.structs.replace(snapshot, clock=borders.clock, since=since)
    left = borders.departures.after(since)
    if not len(left):
        return snapshot
    ids, areas = absent(left, present)
    moved: dict[str, Ids] = {}
    for number in np.unique(areas[areas != DIED]).tolist():
        name = area_name(borders, number)
        there = ids[areas == number]
        moved[name] = np.concatenate((moved[name], there)) if name in moved else there
    return msgspec.structs.replace(snapshot, moved=moved, gone=ids[areas == DIED])


def area_name(borders: BorderState, number: int) -> str:
    """Returns the name of an area with a cell; empty if the area knows no such cell."""
    cell = borders.map.cell(number)
    return cell.area if cell is not None else ""
