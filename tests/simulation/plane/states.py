"""Questions to the committed states of areas, and what one tick may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from pairsim.model.borders import BorderState, Bundle
from pairsim.model.borders.link import Link
from tests.simulation.oracle import Violation
from tests.simulation.plane.chronicle import Committed

_NO_LINK = Link()


def link_of(borders: BorderState, number: int) -> Link:
    """Returns the link to an area, which may not have begun."""
    return borders.links.get(number, _NO_LINK)


def places(states: Mapping[int, Committed]) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Yields each place of entities, with their births: the tables, and entries that were not taken."""
    for number, state in states.items():
        yield f"the table of area {number}", state.births
        for other, link in state.borders.links.items():
            taken = link_of(states[other].borders, number).taken
            for sequence, message in link.outbox.items():
                if sequence > taken and isinstance(message.body, Bundle):
                    yield f"entry {sequence} from area {number} to {other}", message.body.columns["birth"]


def roots_of(state: Committed) -> list[int]:
    """Returns for each row the row of the entity that decides where it belongs."""
    parents, ids = state.parents.tolist(), state.ids.tolist()
    rows = {entity: row for row, entity in enumerate(ids)}
    roots = []
    for start in range(len(ids)):
        row, seen = start, [start]
        while parents[row] > 0 and parents[row] in rows:
            row = rows[parents[row]]
            if row in seen:
                row = min(seen[seen.index(row) :], key=lambda r: ids[r])
                break
            seen.append(row)
        roots.append(row)
    return roots


def check_tick(where: str, before: Committed, after: Committed) -> None:
    """Checks what one tick may do with clocks, counters, groups and bounds."""
    borders, counters, limits = after.borders, after.borders.counters, after.borders.limits
    if borders.clock <= before.borders.clock:
        raise Violation(f"{where}: the clock stays at {borders.clock}")
    if borders.version < before.borders.version:
        raise Violation(f"{where}: goes back to version {borders.version}")
    counted = counters.born - counters.died + counters.taken - counters.sent
    if len(after.ids) != counted:
        raise Violation(f"{where}: {len(after.ids)} entities are there, and {counted} are counted")
    if len(np.unique(after.ids)) != len(after.ids):
        raise Violation(f"{where}: an id is there twice")
    arrived = [a.message.body for a in after.inputs.arrivals if isinstance(a.message.body, Bundle)]
    returned = sum(len(bundle) for bundle in arrived if bundle.returned)
    if len(after.ids) > max(len(before.ids), after.inputs.room) + len(after.born) + returned:
        raise Violation(f"{where}: {len(after.ids)} entities are there, and there is room for {after.inputs.room}")
    left = [bundle for bundle in _new_bundles(before.borders, after.borders) if not bundle.returned]
    for bundle in left:
        ids = bundle.ids
        if np.isin(after.parents, ids).any() or np.isin(bundle.columns["parent"], after.ids).any():
            raise Violation(f"{where}: the group of {ids.tolist()} is torn")
    crossed, groups = sum(len(bundle) for bundle in left), sum(len(bundle.sizes) for bundle in left)
    if crossed > limits.transfers and groups > 1:
        raise Violation(f"{where}: {crossed} entities cross, and {limits.transfers} may")


def _new_bundles(before: BorderState, after: BorderState) -> list[Bundle]:
    """Returns the groups that a tick put into outboxes."""
    return [
        message.body
        for number, link in after.links.items()
        for sequence, message in link.outbox.items()
        if sequence > link_of(before, number).sent and isinstance(message.body, Bundle)
    ]
