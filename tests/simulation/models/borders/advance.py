"""A tick of an area: a function of its state and the tick's inputs, in the order of the rules."""

from __future__ import annotations

from tests.simulation.models.borders.rules import MOST_ACKNOWLEDGEMENTS, MOST_ATTEMPTS, MOST_DEPARTED, Rules
from tests.simulation.models.borders.state import (
    Acknowledgement,
    Answer,
    Area,
    Batch,
    Command,
    Departure,
    Entity,
    Group,
    Inputs,
    Link,
    Message,
    Order,
    Outcome,
    Spawn,
)


def advance(rules: Rules, area: Area, inputs: Inputs) -> Area:
    """Returns the state after the next tick."""
    after = area.copy()
    after.tick += 1
    after.clock = rules.clock(area, inputs)
    for grant in inputs.grants:
        if rules.learns(after, grant):
            after.version, after.map = grant.version, dict(grant.map)
    for number, acknowledgement in inputs.acknowledgements:
        _note(after.link(number), acknowledgement)
    outcomes: list[tuple[int, Outcome]] = []
    _take(rules, after, inputs, outcomes)
    _drop_acknowledged(rules, after)
    for spawn in inputs.spawns:
        _spawn(rules, after, spawn)
    for command in inputs.commands:
        _decide(rules, after, command)
    for entity in inputs.despawns:
        if after.rows.pop(entity, None) is not None:
            after.died += 1
            after.departures += (Departure(after.clock, entity, 0),)
    for entity, distance in inputs.moves:
        row = after.rows.get(entity)
        if row is not None:
            after.rows[entity] = row._replace(x=min(max(row.x + distance, -5.0), 104.0))
    for origin, outcome in outcomes:
        _send(after, origin, outcome)
    _cross(rules, after)
    _forget(after)
    return after


def _note(link: Link, new: Acknowledgement) -> None:
    """Keeps an acknowledgement until it counts, if it says more than those that wait, and those that say more."""
    if new.taken > link.sent or not any(sequence <= new.taken for sequence in link.outbox):
        return
    if any(a.taken >= new.taken and a.sent <= new.sent for a in link.waiting):
        return
    kept = tuple(a for a in link.waiting if a.taken > new.taken or a.sent < new.sent)
    if len(kept) < MOST_ACKNOWLEDGEMENTS:
        link.waiting = (*kept, new)


def _forget(area: Area) -> None:
    """Forgets the departures of the oldest ticks."""
    while len(area.departures) > MOST_DEPARTED and area.departures[0].clock < area.departures[-1].clock:
        area.departures = tuple(d for d in area.departures if d.clock > area.departures[0].clock)


def _send(area: Area, number: int, body: Batch | Order | Outcome) -> None:
    link = area.link(number)
    link.sent += 1
    link.outbox[link.sent] = Message(body, area.clock, link.taken)


def _take(rules: Rules, area: Area, inputs: Inputs, outcomes: list[tuple[int, Outcome]]) -> None:
    for number, sequence, message in inputs.arrivals:
        link = area.link(number)
        if not rules.takes(link, sequence):
            continue
        if isinstance(message.body, Batch) and not rules.has_room(area, message.body):
            continue
        link.taken = max(sequence, link.taken)
        match message.body:
            case Batch():
                _arrive(rules, area, number, message, message.body)
            case Order():
                _follow(rules, area, message.body, outcomes)
            case Outcome():
                known = area.window.get(message.body.command)
                if known is not None and known.kind == "forwarded":
                    answer = message.body.answer
                    area.window[message.body.command] = answer._replace(attempt=max(answer.attempt, known.attempt))


def _arrive(rules: Rules, area: Area, number: int, message: Message, batch: Batch) -> None:
    if batch.returned:
        area.rows |= {row.id: rules.held(area, row) for row in batch.rows}
        area.taken += len(batch.rows)
        return
    refused = tuple(group for group in batch.groups if rules.refuses(area, number, message, group))
    for group in batch.groups:
        if group not in refused:
            area.window |= dict(group.memory)
            area.rows |= {row.id: row for row in group.rows}
            area.taken += len(group.rows)
    if refused:
        _send(area, number, Batch(refused, returned=True))
        area.conflicts += sum(len(group.rows) for group in refused)


def _drop_acknowledged(rules: Rules, area: Area) -> None:
    for link in area.links.values():
        counted = [a for a in link.waiting if rules.counts(link, a)]
        link.waiting = tuple(a for a in link.waiting if a not in counted)
        taken = max((a.taken for a in counted), default=0)
        link.outbox = {sequence: m for sequence, m in link.outbox.items() if sequence > taken}


def _spawn(rules: Rules, area: Area, spawn: Spawn) -> None:
    if spawn.id in area.window:
        return
    if not rules.may_spawn(area, spawn.entity.id):
        area.window[spawn.id] = Answer("rejected", 1, spawn.entity.id)
        return
    area.rows[spawn.entity.id] = spawn.entity._replace(version=area.version)
    area.window[spawn.id] = Answer("applied", 1, spawn.entity.id)
    area.born += 1


def _decide(rules: Rules, area: Area, command: Command) -> None:
    if not rules.is_new(area.window.get(command.id), command):
        return
    there = rules.whereabouts(area, command.entity)
    if command.entity in area.rows:
        area.window[command.id] = Answer("applied", command.attempt, command.entity)
        area.applied += (command.id,)
    elif not there and not command.follows:
        area.window[command.id] = Answer("rejected", command.attempt, command.entity)
    elif command.follows or not rules.may_forward(area.link(there)):
        area.window[command.id] = Answer("moved", command.attempt, command.entity, there)
    else:
        area.window[command.id] = rules.answers_when_forwarding(command, there)
        _send(area, there, Order(command.id, command.attempt + 1, command.entity, area.number))


def _follow(rules: Rules, area: Area, order: Order, outcomes: list[tuple[int, Outcome]]) -> None:
    known = area.window.get(order.command)
    there = rules.whereabouts(area, order.entity)
    owed = order.origin == area.number
    if known is not None and not rules.is_new(known, Command(order.command, order.attempt, order.entity)):
        answer = known
    elif order.entity in area.rows:
        answer = Answer("applied", order.attempt, order.entity)
        area.applied += (order.command,)
        area.window[order.command] = answer
        if not owed:
            outcomes.append((order.origin, Outcome(order.command, answer)))
        return
    elif there and order.attempt < MOST_ATTEMPTS and rules.may_forward(area.link(there)):
        _send(area, there, order._replace(attempt=order.attempt + 1))
        area.window[order.command] = Answer("forwarded" if owed else "moved", order.attempt, order.entity, there)
        return
    else:
        answer = Answer("moved", order.attempt, order.entity)
    area.window[order.command] = answer
    if not owed:
        _send(area, order.origin, Outcome(order.command, answer))


def _cross(rules: Rules, area: Area) -> None:
    crossed = 0
    batches: dict[int, tuple[Group, ...]] = {}
    queue: list[int] = []
    roots = [row.id for row in area.rows.values() if not _has_parent(area, row)]
    for entity in rules.in_order(area, roots):
        root = area.rows[entity]
        group = Group(rules.members(area, root))
        number = rules.leaves_for(area, root, group)
        if not number:
            continue
        link = area.link(number)
        waiting = link.entities() + sum(len(other.rows) for other in batches.get(number, ()))
        if not rules.is_open(link) or not rules.may_cross(crossed, waiting, group):
            queue.append(entity)
            continue
        crossed += len(group.rows)
        moved = tuple(rules.moved(area, row) for row in group.rows)
        batches[number] = (*batches.get(number, ()), Group(moved, rules.memory(area, group)))
        area.departures += tuple(Departure(area.clock, row.id, number) for row in group.rows)
        for row in group.rows:
            area.rows.pop(row.id)
    area.queue = tuple(queue)
    area.sent += crossed
    for number, groups in batches.items():
        _send(area, number, Batch(groups))


def _has_parent(area: Area, row: Entity) -> bool:
    """Returns whether the entity belongs to another one here. Of entities in a ring, the smallest id has no parent."""
    chain = [row.id]
    at = area.rows.get(row.parent)
    while at is not None:
        if at.id in chain:
            return row.id != min(chain[chain.index(at.id) :])
        chain.append(at.id)
        at = area.rows.get(at.parent)
    return len(chain) > 1
