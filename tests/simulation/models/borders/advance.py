"""A tick of an area: a function of its state and the tick's inputs, in the order of the rules."""

from __future__ import annotations

from tests.simulation.models.borders.rules import MOST_ATTEMPTS, MOST_DEPARTED, Rules
from tests.simulation.models.borders.state import (
    Answer,
    Area,
    Command,
    Entity,
    Group,
    Inputs,
    Message,
    Order,
    Outcome,
    Spawn,
)


def advance(rules: Rules, area: Area, inputs: Inputs) -> Area:
    """Returns the state after the next tick."""
    after = area.copy()
    after.tick += 1
    after.left = ()
    after.clock = rules.clock(area, inputs)
    for grant in inputs.grants:
        if rules.learns(after, grant):
            after.version, after.map = grant.version, dict(grant.map)
    for number, acknowledgement in inputs.acknowledgements:
        after.link(number).waiting += (acknowledgement,)
    _take(rules, after, inputs)
    _drop_acknowledged(rules, after)
    for spawn in inputs.spawns:
        _spawn(rules, after, spawn)
    for entity in inputs.despawns:
        if after.rows.pop(entity, None) is not None:
            after.died += 1
            after.left += ((entity, True),)
    for command in inputs.commands:
        _decide(rules, after, command)
    for entity, distance in inputs.moves:
        row = after.rows.get(entity)
        if row is not None:
            after.rows[entity] = row._replace(x=min(max(row.x + distance, -5.0), 104.0))
    _cross(rules, after)
    return after


def _send(area: Area, number: int, body: Group | Order | Outcome) -> None:
    link = area.link(number)
    link.sent += 1
    link.outbox[link.sent] = Message(body, area.clock, link.taken)


def _take(rules: Rules, area: Area, inputs: Inputs) -> None:
    for number, sequence, message in inputs.arrivals:
        link = area.link(number)
        if not rules.takes(link, sequence):
            continue
        if isinstance(message.body, Group) and not rules.has_room(area, message.body):
            continue
        link.taken = max(sequence, link.taken)
        match message.body:
            case Group():
                _arrive(rules, area, number, message, message.body)
            case Order():
                _follow(rules, area, message.body)
            case Outcome():
                known = area.window.get(message.body.command)
                if known is not None and known.kind == "forwarded":
                    answer = message.body.answer
                    area.window[message.body.command] = answer._replace(attempt=max(answer.attempt, known.attempt))


def _arrive(rules: Rules, area: Area, number: int, message: Message, group: Group) -> None:
    if group.returned:
        for row in group.rows:
            area.rows[row.id] = rules.held(area, row)
            area.departed.pop(row.id, None)
    elif rules.refuses(area, number, message, group):
        _send(area, number, group._replace(returned=True))
    else:
        area.window |= dict(group.memory)
        for row in group.rows:
            area.rows[row.id] = row
            area.departed.pop(row.id, None)


def _drop_acknowledged(rules: Rules, area: Area) -> None:
    for link in area.links.values():
        counted = [a for a in link.waiting if rules.counts(link, a)]
        link.waiting = tuple(a for a in link.waiting if a not in counted)
        taken = max((a.taken for a in counted), default=0)
        link.outbox = {sequence: m for sequence, m in link.outbox.items() if sequence > taken}


def _spawn(rules: Rules, area: Area, spawn: Spawn) -> None:
    if spawn.id not in area.window and rules.may_spawn(area, spawn.entity.id):
        area.rows[spawn.entity.id] = spawn.entity._replace(version=area.version)
        area.window[spawn.id] = Answer("applied", 1, spawn.entity.id)
        area.departed.pop(spawn.entity.id, None)
        area.born += 1


def _decide(rules: Rules, area: Area, command: Command) -> None:
    if not rules.is_new(area.window.get(command.id), command):
        return
    there = rules.whereabouts(area, command.entity)
    if command.entity in area.rows:
        area.window[command.id] = Answer("applied", command.attempt, command.entity)
        area.applied += (command.id,)
    elif command.follows or not there:
        area.window[command.id] = Answer("moved", command.attempt, command.entity, there)
    else:
        area.window[command.id] = rules.answers_when_forwarding(command, there)
        _send(area, there, Order(command.id, command.attempt + 1, command.entity, area.number))


def _follow(rules: Rules, area: Area, order: Order) -> None:
    known = area.window.get(order.command)
    there = rules.whereabouts(area, order.entity)
    owed = order.origin == area.number
    if known is not None and not rules.is_new(known, Command(order.command, order.attempt, order.entity)):
        answer = known
    elif order.entity in area.rows:
        answer = Answer("applied", order.attempt, order.entity)
        area.applied += (order.command,)
    elif there and order.attempt < MOST_ATTEMPTS:
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
    for root in [row for row in area.rows.values() if not _has_parent(area, row)]:
        group = Group(rules.members(area, root))
        number = rules.leaves_for(area, root, group)
        if not number or not rules.may_cross(crossed, area.link(number), group):
            continue
        crossed += len(group.rows)
        moved = tuple(row._replace(version=area.version) for row in group.rows)
        _send(area, number, Group(moved, rules.memory(area, group)))
        area.left += tuple((row.id, False) for row in group.rows)
        for row in group.rows:
            area.rows.pop(row.id)
            area.departed.pop(row.id, None)
            area.departed[row.id] = number
    while len(area.departed) > MOST_DEPARTED:
        area.departed.pop(next(iter(area.departed)))


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
