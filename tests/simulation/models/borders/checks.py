"""What must hold in a world of areas: at every step, over every cut, and when all is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tests.simulation.models.borders.rules import (
    HELD_TICKS,
    MOST_ACKNOWLEDGEMENTS,
    MOST_MESSAGES,
    MOST_ORDERS,
    MOST_ROWS,
    MOST_TRANSFERS,
    MOST_WAITING,
)
from tests.simulation.models.borders.state import Area, Batch, Cell, Entity, Group, Identity, Inputs


class Violation(AssertionError):
    """An invariant does not hold."""


def places(areas: Mapping[int, Area]) -> dict[Identity, list[str]]:
    """Returns where each entity is: in a table, or in a message that was not taken."""
    found: dict[Identity, list[str]] = {}
    for number, area in areas.items():
        for row in area.rows.values():
            found.setdefault(row.birth, []).append(f"the table of {number}")
        for to, link in area.links.items():
            taken = areas[to].links[number].taken if number in areas[to].links else 0
            for sequence, message in link.outbox.items():
                if sequence > taken and isinstance(message.body, Batch):
                    for row in message.body.rows:
                        found.setdefault(row.birth, []).append(f"message {sequence} from {number} to {to}")
    return found


def check_places(areas: Mapping[int, Area], alive: set[Identity] | None) -> None:
    """Checks that the areas are one world: each entity once, and links whose ends fit each other."""
    found = places(areas)
    for birth, where in found.items():
        if len(where) > 1:
            raise Violation(f"entity {birth} is in {where}")
    if alive is not None and set(found) != alive:
        raise Violation(f"lost {alive - set(found)}, back from the dead {set(found) - alive}")
    born, died = sum(area.born for area in areas.values()), sum(area.died for area in areas.values())
    if born - died != len(found):
        raise Violation(f"{born} born, {died} died, {len(found)} present")
    for number, area in areas.items():
        for other, link in area.links.items():
            back = areas[other].links.get(number)
            if link.taken > (back.sent if back is not None else 0):
                raise Violation(f"area {number} has taken what {other} has not sent")


def check_runs(areas: Mapping[int, Area], ambiguous: set[str]) -> None:
    """Checks that no command ran twice, but those to ids that several entities have had."""
    runs = Counter(command for area in areas.values() for command in area.applied)
    for command, count in runs.items():
        if count > 1 and command not in ambiguous:
            raise Violation(f"command {command} ran {count} times")


def check_refusals(area: Area) -> None:
    """Checks that an area refused nothing; only for two areas without two entities of one id."""
    for link in area.links.values():
        for message in link.outbox.values():
            if isinstance(message.body, Batch) and message.body.returned:
                raise Violation(f"area {area.number} refused {message.body}, which came back")


def check_step(before: Area, after: Area, inputs: Inputs) -> None:
    """Checks what one tick may do with groups, limits and entities that came back."""
    if after.clock <= before.clock:
        raise Violation(f"the clock of area {after.number} stays at {after.clock}")
    if after.version < before.version:
        raise Violation(f"area {after.number} went back to version {after.version}")
    returned = _returned(before, inputs)
    if len(after.rows) > max(len(before.rows), MOST_ROWS) + len(inputs.spawns) + returned:
        raise Violation(f"area {after.number} took more than it has room for")
    if len(after.rows) != after.born - after.died + after.taken - after.sent:
        raise Violation(f"area {after.number} has {len(after.rows)} entities, and counts other ones")
    crossed: list[Group] = []
    for link_number, link in after.links.items():
        known = before.links[link_number].sent if link_number in before.links else 0
        if link.orders() > MOST_ORDERS:
            raise Violation(f"an outbox of area {after.number} holds {link.orders()} orders")
        if len(link.waiting) > MOST_ACKNOWLEDGEMENTS:
            raise Violation(f"area {after.number} keeps {link.waiting}")
        leaving = {s: b for s, m in link.outbox.items() if isinstance(b := m.body, Batch) and not b.returned}
        if any(sequence > known for sequence in leaving) and len(leaving) > MOST_MESSAGES:
            raise Violation(f"an outbox of area {after.number} holds {len(leaving)} messages with groups")
        new = [group for sequence, batch in leaving.items() if sequence > known for group in batch.groups]
        crossed += new
        groups = [group for batch in leaving.values() for group in batch.groups]
        if new and len(groups) > 1 and sum(len(group.rows) for group in groups) > MOST_WAITING:
            raise Violation(f"an outbox of area {after.number} holds {groups}")
        for group in new:
            _check_group(before, after, group)
    if len(crossed) > 1 and sum(len(group.rows) for group in crossed) > MOST_TRANSFERS:
        raise Violation(f"{crossed} crossed in one tick")
    _check_order(before, after, crossed)


def _check_order(before: Area, after: Area, crossed: list[Group]) -> None:
    """Checks that of entities without relatives, which waited for the same area, the oldest crossed first."""
    kin = {row.parent for row in before.rows.values()} | {row.parent for row in after.rows.values()}
    alone = [i for i in before.queue if i not in kin and i in before.rows and not before.rows[i].parent]
    gone = {d.entity: d.area for d in after.left}
    kept = {i: after.owner(after.rows[i].x) for i in alone if i in after.queue}
    for entity, area in kept.items():
        later = [i for i in alone[alone.index(entity) + 1 :] if gone.get(i) == area]
        if later and len(crossed) > 1:
            raise Violation(f"entities {later} crossed before {entity}, which waited longer")


def _returned(before: Area, inputs: Inputs) -> int:
    bodies = [m.body for _, _, m in inputs.arrivals]
    return sum(len(body.rows) for body in bodies if isinstance(body, Batch) and body.returned)


def _check_group(before: Area, after: Area, group: Group) -> None:
    ids = {row.id for row in group.rows}
    for row in after.rows.values():
        if row.parent in ids:
            raise Violation(f"entity {row.parent} left without its child {row.id}")
    for row in group.rows:
        if row.parent in after.rows:
            raise Violation(f"entity {row.id} left without its parent {row.parent}")
    for row in group.rows:
        known = before.rows.get(row.id)
        if known is not None and known.birth == row.birth:
            if known.version > row.version:
                raise Violation(f"entity {row.id} was moved by version {known.version}, and now by {row.version}")
            if known.held_until > after.tick:
                raise Violation(f"entity {row.id} left while it was held")
        if row.held_until > after.tick:
            raise Violation(f"entity {row.id} left while it was held, {HELD_TICKS} ticks")


def unsettled(areas: Mapping[int, Area], newest: Mapping[int, Cell]) -> list[str]:
    """Returns what is not as it has to be when all is quiet."""
    found = []
    for number, area in areas.items():
        found += [f"area {number} has an outbox for {to}" for to, link in area.links.items() if link.outbox]
        for row in area.rows.values():
            root = _root(area, row)
            owner = next((n for n, (low, high) in newest.items() if low <= root.x < high), number)
            if owner != number:
                found.append(f"area {number} has entity {row.id}, which {owner} owns")
    return found


def _root(area: Area, row: Entity) -> Entity:
    """Returns the entity that decides where this one belongs."""
    seen: list[int] = []
    while row.parent in area.rows:
        if row.id in seen:
            return area.rows[min(seen[seen.index(row.id) :])]
        seen.append(row.id)
        row = area.rows[row.parent]
    return row
