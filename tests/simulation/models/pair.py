"""A pair, its log and what was seen of it: the state that the model of engine failures explores."""

from __future__ import annotations

from typing import NamedTuple

from tests.simulation.models.engine_rules import Node, Record, State

POISON = {"raises": "raise", "crashes": "crash"}
"""Commands that the first code cannot compute, on any replica, and what its engine does; the mended code can."""


class Violation(AssertionError):
    """An invariant does not hold."""


class Budget(NamedTuple):
    """How many faults may still happen, and acts of the operator."""

    failures: int = 0
    """Raises, hangs and crashes that the command does not explain: they happen on this replica, this time."""
    kills: int = 0
    elections: int = 0
    """Elections although the leader runs."""
    edits: int = 0
    restarts: int = 0
    updates: int = 0
    """Restarts of a process that find other code in its files, as in a rolling update."""


Action = tuple[object, ...]
"""The name of an action, and its arguments."""

Attempt = tuple[int, int, int]
"""A replica, a tick, and how many `Skip` and `Engines` records the replica knew."""


class World(NamedTuple):
    """A pair, its log, and what was seen of it from outside."""

    nodes: tuple[Node, Node]
    log: tuple[Record, ...]
    budget: Budget
    seen: State = ()
    acknowledged: frozenset[tuple[str, str]] = frozenset()
    disk: tuple[int, int] = (0, 0)
    """The code in the files of each replica, which an engine reads when it starts."""
    failures: frozenset[tuple[Attempt, bool]] = frozenset()
    """The attempts that failed, and whether for good: by an exception, too long a wait, or a second crash."""
    handovers: int = 0
    """Handovers since a tick was seen, a record changed the attempt, or a fault happened."""


def put(world: World, i: int, node: Node) -> World:
    """Returns the world with another state of one replica."""
    return world._replace(nodes=(node, world.nodes[1]) if i == 0 else (world.nodes[0], node))


def noted(world: World, attempt: Attempt, kind: str) -> World:
    """Returns the world with the failure of an attempt."""
    final = kind == "raise" or (attempt, False) in world.failures
    return world._replace(failures=world.failures | {(attempt, final)})


def fault(world: World, *, failures: int = 0, kills: int = 0, elections: int = 0) -> World:
    """Returns the world with so many faults fewer to come; after a fault handovers are counted anew."""
    left = world.budget
    left = left._replace(
        failures=left.failures - failures, kills=left.kills - kills, elections=left.elections - elections
    )
    return world._replace(budget=left, handovers=0)
