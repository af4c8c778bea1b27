"""Numbered commands, and what an area must hold after their answers: invariants "durable" and "conserved".

Every command spawns an entity with an id of its own, or despawns one that was acknowledged. So at any time each id is
in one of four states, and the state of the area can be compared with them, entity by entity. Sans-I/O.
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
"""Entities of a probe in one area; beyond it the oldest are taken away again."""

_NUMBERS = 2**24
_FIRST = 2**62


class Fate(enum.Enum):
    """What is known of an entity."""

    SPAWNING = enum.auto()
    """Sent, not answered: it may be there or not."""
    THERE = enum.auto()
    """Acknowledged: it must be there."""
    LEAVING = enum.auto()
    """Its end was sent, and not answered."""


class Account(msgspec.Struct, frozen=True):
    """A comparison of an area with its ledger.

    Attributes:
        acknowledged: Commands whose answer said that they were applied.
        unknown: Commands without an answer in time; nothing is claimed of them.
        lost: Acknowledged spawns that are not there.
        revived: Entities that are there after their acknowledged end.
        doubled: Entities that are listed more than once.
        refused: Commands that were refused though they could be done once; how often and why.
    """

    acknowledged: int
    unknown: int
    lost: tuple[int, ...]
    revived: tuple[int, ...]
    doubled: tuple[int, ...]
    refused: Violations


class Claims(msgspec.Struct, frozen=True):
    """What a state that is read from now on must hold, and must not.

    Attributes:
        there: Entities that must be in it, if they are not taken away meanwhile.
        known: Entities that may be in it.
        number: Those from this number on are newer.
    """

    there: frozenset[int]
    known: frozenset[int]
    number: int


class Ledger:
    """Of one area and one probe.

    Attributes:
        first: The lowest id of its entities.
        tick: The newest that anything was acknowledged in.
        refused: Commands that were refused though they could be done once.
    """

    def __init__(self) -> None:
        """Its entities have ids that no other probe uses."""
        self.first = _FIRST + secrets.randbelow(_FIRST // _NUMBERS) * _NUMBERS
        self._number = 0
        self._fates: dict[int, Fate] = {}
        self._there: deque[int] = deque()
        self.acknowledged = self.tick = 0
        self.refused = Violations()

    @property
    def last(self) -> int:
        """The highest id that it may ever use."""
        return self.first + _NUMBERS - 1

    @property
    def full(self) -> bool:
        """Whether all numbers are used."""
        return self._number >= _NUMBERS

    def batch(self, size: int, components: dict[str, Value]) -> list[Command]:
        """The next commands to send: spawns with these components, and ends of the oldest where there are enough."""
        commands = []
        for _ in range(min(size, _NUMBERS - self._number)):
            entity = self.first + self._number
            self._number += 1
            self._fates[entity] = Fate.SPAWNING
            commands.append(Command(f"s-{entity}", "spawn", entity, components))
        while len(self._there) > MAX_LIVE:
            entity = self._there.popleft()
            self._fates[entity] = Fate.LEAVING
            commands.append(Command(f"d-{entity}", "despawn", entity))
        return commands

    def answered(self, commands: Sequence[Command], results: Iterable[Result]) -> None:
        """Their results, in their order."""
        for command, result in zip(commands, results, strict=True):
            if result.status is Status.REJECTED or result.reason:
                self.refused.add(f"{command.op} of {command.entity} at tick {result.tick}: {result.reason}")
                self._fates.pop(command.entity, None)
                continue
            self.acknowledged += 1
            self.tick = max(self.tick, result.tick)
            if command.op == "spawn":
                self._fates[command.entity] = Fate.THERE
                self._there.append(command.entity)
            else:
                del self._fates[command.entity]

    def untouched(self, commands: Iterable[Command]) -> None:
        """They were turned away as a whole: nothing of them was applied."""
        for command in commands:
            if command.op == "spawn":
                del self._fates[command.entity]
            else:
                self._fates[command.entity] = Fate.THERE
                self._there.append(command.entity)

    def claims(self) -> Claims:
        """To be asked before a state is read, so that it can be compared while commands flow."""
        there = frozenset(entity for entity, fate in self._fates.items() if fate is Fate.THERE)
        return Claims(there, frozenset(self._fates), self._number)

    def compare(self, read: Iterable[int], claims: Claims) -> Account:
        """Compares it with the ids that a state held, which was read after the claims were made."""
        listed = Counter(entity for entity in read if self.first <= entity <= self.last)
        newer = self.first + claims.number
        return Account(
            acknowledged=self.acknowledged,
            unknown=sum(fate is not Fate.THERE for fate in self._fates.values()),
            lost=tuple(sorted(each for each in claims.there - listed.keys() if self._fates.get(each) is Fate.THERE)),
            revived=tuple(sorted(each for each in listed.keys() - claims.known if each < newer)),
            doubled=tuple(entity for entity, times in listed.items() if times > 1),
            refused=self.refused,
        )

    def leftovers(self) -> list[Command]:
        """What takes away everything of it that may be there."""
        return [Command(f"e-{entity}", "despawn", entity) for entity in self._fates]
