"""The commands that a probe has sent, and the entities that the state of an area must therefore hold.

This is the evidence for the invariants "durable" and "conserved". Every command either spawns an entity with a fresh id
or despawns an entity whose spawn was acknowledged. Each id is therefore unused, in one of the states of `EntityState`,
or removed, and the state of an area can be compared with the ledger entity by entity. Sans-I/O.
"""

from __future__ import annotations

import enum
import secrets
from collections import Counter, deque
from collections.abc import Iterable, Sequence

import msgspec

from pairsim.model.commands import Command, Result, Status, Value
from pairsim_chaos.probe.violations import Violations

MAX_LIVE = 2000
"""The number of entities that a probe keeps in an area; the oldest ones beyond it are despawned again."""

_ID_COUNT = 2**24
_FIRST_ID = 2**52
"""Areas create entities below this id, and up to twice as much every id is exact in JSON (see `entity_ids`)."""


class EntityState(enum.Enum):
    """The state of an entity as far as the answers show it."""

    SPAWNING = enum.auto()
    """The spawn was sent but not answered: the entity may exist or not."""
    PRESENT = enum.auto()
    """The spawn was acknowledged: the entity must exist."""
    DESPAWNING = enum.auto()
    """The despawn was sent but not answered: the entity may exist or not."""


class Reconciliation(msgspec.Struct, frozen=True):
    """The result of comparing the state of an area with the ledger.

    Attributes:
        unknown: The number of commands without an answer in time; nothing is expected of them.
        lost: Entities that are missing although their spawn was acknowledged.
        revived: Entities that exist although their despawn was acknowledged.
        doubled: Entities that are listed more than once.
        refused: Commands that were refused although they were valid, with the reasons.
    """

    unknown: int
    lost: tuple[int, ...]
    revived: tuple[int, ...]
    doubled: tuple[int, ...]
    refused: Violations

    @property
    def sound(self) -> bool:
        """Whether every entity was listed as often as it has to be."""
        return not (self.lost or self.revived or self.doubled)

    def agreed(self, other: Reconciliation) -> Reconciliation:
        """Returns what is wrong in two comparisons: an entity that crosses a border meanwhile is wrong in one."""
        return msgspec.structs.replace(
            other,
            lost=_both(self.lost, other.lost),
            revived=_both(self.revived, other.revived),
            doubled=_both(self.doubled, other.doubled),
        )


def _both(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set(first) & set(second)))


class Expectation(msgspec.Struct, frozen=True):
    """The entities that a state must hold and may hold if it is read after this moment.

    Attributes:
        present: Entities that the state must hold, unless they are despawned meanwhile.
        known: Entities that the state may hold.
        next_number: Entities with this number or a higher one are spawned later.
    """

    present: frozenset[int]
    known: frozenset[int]
    next_number: int


class WriteLedger:
    """The ledger of one probe in one area.

    Attributes:
        first: The lowest id of the probe's entities.
        acknowledged: The number of commands that were answered as applied.
        tick: The newest tick in which a command was acknowledged.
        refused: Commands that were refused although they were valid.
    """

    def __init__(self) -> None:
        """Creates an empty ledger with a random range of ids, so that no two probes share an id."""
        self.first = _FIRST_ID + secrets.randbelow(_FIRST_ID // _ID_COUNT) * _ID_COUNT
        self._next_number = 0
        self._states: dict[int, EntityState] = {}
        self._present: deque[int] = deque()
        self.acknowledged = self.tick = 0
        self.refused = Violations()

    @property
    def last(self) -> int:
        """Returns the highest id that the probe may use."""
        return self.first + _ID_COUNT - 1

    @property
    def full(self) -> bool:
        """Returns whether all ids are used."""
        return self._next_number >= _ID_COUNT

    def next_batch(self, size: int, components: dict[str, Value]) -> list[Command]:
        """Returns the next commands to send: `size` spawns, and despawns of the oldest entities beyond `MAX_LIVE`."""
        commands = []
        for _ in range(min(size, _ID_COUNT - self._next_number)):
            entity = self.first + self._next_number
            self._next_number += 1
            self._states[entity] = EntityState.SPAWNING
            commands.append(Command(f"s-{entity}", "spawn", entity, components))
        while len(self._present) > MAX_LIVE:
            entity = self._present.popleft()
            self._states[entity] = EntityState.DESPAWNING
            commands.append(Command(f"d-{entity}", "despawn", entity))
        return commands

    def on_answered(self, commands: Sequence[Command], results: Iterable[Result]) -> None:
        """Takes the results of commands, in the same order."""
        for command, result in zip(commands, results, strict=True):
            if result.status is Status.MOVED:
                self.on_not_applied([command])
                continue
            if result.status is Status.REJECTED or result.reason:
                self.refused.add(f"{command.op} of {command.entity} at tick {result.tick}: {result.reason}")
                self._states.pop(command.entity, None)
                continue
            self.acknowledged += 1
            self.tick = max(self.tick, result.tick)
            if command.op == "spawn":
                self._states[command.entity] = EntityState.PRESENT
                self._present.append(command.entity)
            else:
                del self._states[command.entity]

    def on_not_applied(self, commands: Iterable[Command]) -> None:
        """Takes commands that were rejected as a whole, so that the area applied none of them."""
        for command in commands:
            if command.op == "spawn":
                del self._states[command.entity]
            else:
                self._states[command.entity] = EntityState.PRESENT
                self._present.append(command.entity)

    def expectation(self) -> Expectation:
        """Returns the current expectation; call it before a state is read, so that commands may go on meanwhile."""
        present = frozenset(entity for entity, state in self._states.items() if state is EntityState.PRESENT)
        return Expectation(present, frozenset(self._states), self._next_number)

    def reconcile(self, read: Iterable[int], expected: Expectation) -> Reconciliation:
        """Compares the ledger with the ids of a state that was read after the expectation was taken."""
        listed = Counter(entity for entity in read if self.first <= entity <= self.last)
        newer = self.first + expected.next_number
        return Reconciliation(
            unknown=sum(state is not EntityState.PRESENT for state in self._states.values()),
            lost=tuple(
                sorted(
                    each for each in expected.present - listed.keys() if self._states.get(each) is EntityState.PRESENT
                )
            ),
            revived=tuple(sorted(each for each in listed.keys() - expected.known if each < newer)),
            doubled=tuple(entity for entity, times in listed.items() if times > 1),
            refused=self.refused,
        )

    def cleanup_commands(self) -> list[Command]:
        """Returns the commands that despawn every entity of the probe that may exist."""
        return [Command(f"e-{entity}", "despawn", entity) for entity in self._states]

    def on_cleaned_up(self, results: Iterable[Result]) -> None:
        """Takes the results of despawns that clean up; only a state at their ticks or later shows what remains."""
        self.tick = max([self.tick, *(result.tick for result in results)])
