"""Two ways through the worlds of a model: random walks that go far, and every schedule of a small configuration."""

from __future__ import annotations

import collections
import random
from collections.abc import Iterable

from tests.simulation.models.engine_failures import Model
from tests.simulation.models.engine_rules import FAILED, facts
from tests.simulation.models.pair import POISON, Action, Violation, World


class ImpossibleStepError(AssertionError):
    """A step of a given way cannot happen."""


_QUIET_ROUNDS = 60
_QUIET_ORDER = (
    "boot",
    "elect",
    "learn",
    "start",
    "ping",
    "hand_over",
    "answer",
    "raise",
    "crash",
    "commit",
    "compute",
    "begin",
    "frame",
    "checkpoint",
)
_WEIGHTS = {
    "skip": 40,
    "retry": 20,
    "restart": 20,
    "compute": 12,
    "hand_over": 8,
    "begin": 2,
    "kill": 2,
    "elect": 2,
    "edit": 1,
    "update": 1,
}
"""How often a random walk takes an action; others have 4."""

_ALONE, _HELPED = (*_QUIET_ORDER, "retry"), (*_QUIET_ORDER, "restart", "skip")


def walk(model: Model, world: World, seed: int, steps: int) -> World:
    """Takes random steps, then lets the world come to rest; raises `Violation` with the way that led there."""
    rng = random.Random(seed)
    way: list[Action] = []
    try:
        for _ in range(steps):
            actions = model.actions(world)
            if not actions:
                break
            way += rng.choices(actions, [_WEIGHTS.get(str(action[0]), 4) for action in actions])
            world = model.step(world, way[-1])
        check_recovery(model, world)
    except Violation as violation:
        raise Violation(f"seed {seed}: {violation}\n  {way}") from violation
    return world


def follow(model: Model, world: World, way: Iterable[Action]) -> World:
    """Takes these steps, and lets the world come to rest; a step that cannot happen fails."""
    for action in way:
        if action not in model.actions(world):
            raise ImpossibleStepError(f"{action} cannot happen in {world}")
        world = model.step(world, action)
    check_recovery(model, world)
    return world


def search(model: Model, world: World, *, limit: int, rest_every: int = 0) -> int:
    """Visits every world that can be reached, breadth first; returns how many there are.

    Args:
        model: The rules.
        world: The first world.
        limit: The search fails when there are more worlds.
        rest_every: Every so many worlds one is brought to rest; 0 for none.
    """
    came: dict[World, tuple[World, Action] | None] = {world: None}
    queue = collections.deque([world])
    while queue:
        at = queue.popleft()
        action: Action = ()
        try:
            for action in model.actions(at):
                after = model.step(at, action)
                if after not in came:
                    came[after] = (at, action)
                    queue.append(after)
            action = ()
            if rest_every and len(queue) % rest_every == 0:
                check_recovery(model, at)
        except Violation as violation:
            way = [action]
            place = came[at]
            while place is not None:
                at, action = place
                way.append(action)
                place = came[at]
            raise Violation(f"{violation}\n  " + "\n  ".join(map(str, reversed(way)))) from violation
        if len(came) > limit:
            raise AssertionError(f"more than {limit} worlds")
    return len(came)


def check_recovery(model: Model, world: World) -> None:
    """Checks that an area goes on once faults cease: by itself if it can, or else after an act of the operator."""
    world = world._replace(
        budget=world.budget._replace(failures=0, kills=0, elections=0, edits=0, restarts=0, updates=0)
    )
    model = Model(model.rules, commands=(), ticks=len(facts(world.log).ticks) + 4)
    if _computable(model, world) and len(_rest(model, world, _QUIET_ORDER[4:]).seen) == len(world.seen):
        raise Violation(f"a replica could compute, and does not lead: {world}")
    alone = _rest(model, world, _ALONE)
    if len(alone.seen) > len(world.seen):
        return
    known = facts(alone.log)
    if not (_poisoned(alone) or known.code not in alone.disk):
        raise Violation(f"the area stands still although nothing fails: {alone}")
    if not model.paused(alone):
        raise Violation(f"the area stands still and does not say so: {alone}")
    helped = _rest(model, alone._replace(budget=alone.budget._replace(restarts=3)), _HELPED)
    if len(helped.seen) <= len(world.seen) and not _beyond_help(helped):
        raise Violation(f"the operator cannot help: {helped}")


def _computable(model: Model, world: World) -> bool:
    """Returns whether the area can go on although no engine and no process is started: one that runs is enough."""
    known = facts(world.log)
    nodes = world.nodes
    if _poisoned(world) or any(
        node.view < len(world.log) or not node.up or node.request or node.pending for node in nodes
    ):
        return False
    if all(node.leads < known.term for node in nodes):
        return False
    pings = [model.ping(world, i) for i in (0, 1)]
    ready = [model.rules.usable(n, known) and n.failure.level < FAILED for n in nodes]
    return any(ready) and len({ping.tick for ping in pings}) == 1


def _poisoned(world: World) -> bool:
    known = facts(world.log)
    last = known.ticks[-1] if known.ticks else ()
    return any(c in POISON and (known.tick, c) not in known.skipped for c in last)


def _beyond_help(world: World) -> bool:
    """Returns whether only code that was edited away leads from the states that are left to the last tick."""
    known = facts(world.log)
    needed = max(len(world.seen), known.tick - 1)
    return known.code not in world.disk and all(len(node.snapshot) < needed for node in world.nodes)


def _rest(model: Model, world: World, names: tuple[str, ...]) -> World:
    """Takes the next action of each kind in turn, until a new tick is seen or nothing changes."""
    seen = len(world.seen)
    for _ in range(_QUIET_ROUNDS):
        before = world
        for name in names:
            for i in (0, 1):
                found = [a for a in model.actions(world) if a[0] == name and a[1] == i]
                if found:
                    world = model.step(world, found[0])
        if len(world.seen) > seen or world == before:
            break
    return world
