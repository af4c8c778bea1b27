"""The clients of a plane: they send commands to the area where they believe their entity to be.

Half of them follow an entity that has moved by themselves, and count their attempts. For the others the areas follow.
"""

from __future__ import annotations

import collections
import contextlib
import random
from collections.abc import Mapping

import msgspec

from pairsim.model.commands import Command, Result, Status, Value
from pairsim.replication.service import Committed, InboxFullError, ReplicaError
from tests.simulation.pair import Pair
from tests.simulation.plane.oracle import PlaneOracle, is_applied
from tests.simulation.plane.simulator import SPEED, WORLD

_MOST_OPEN = 12
"""How many commands wait for the answer of one area before no new ones are sent to it."""

_MOST_ATTEMPTS = 8
_FIRST_BIRTH = 1_000_000


class PlaneClient:
    """Sends commands to areas, each again with its id until it is answered, and at times once more.

    It stays with an area until that has answered.
    """

    def __init__(self, oracle: PlaneOracle, rng: random.Random, *, clashes: bool) -> None:
        """Takes the oracle, and whether entities get ids that others have."""
        self._oracle, self._rng, self._clashes = oracle, rng, clashes
        self._open: dict[int, dict[str, Command]] = {number: {} for number in oracle.areas}
        self._old: dict[int, collections.deque[Command]] = {n: collections.deque(maxlen=20) for n in oracle.areas}
        self._number = 0
        self.applied = self.refused = self.moved = 0

    @property
    def waits(self) -> bool:
        """Whether a command is not answered yet."""
        return any(self._open.values())

    def send(self, areas: Mapping[int, Pair]) -> None:
        """Sends a new command to some area."""
        number = self._rng.choice(list(areas))
        if len(self._open[number]) < _MOST_OPEN:
            self._new(number)
        if self._rng.random() < 0.1:
            self._send_elsewhere(number)
        self.send_open(number, areas[number])

    def send_open(self, number: int, area: Pair) -> None:
        """Sends the commands to an area that it has not answered, to the first replica that is active."""
        batch = list(self._open[number].values())
        if self._old[number] and self._rng.random() < 0.2:
            batch.append(self._rng.choice(self._old[number]))
        active = next((node for node in area.awake_replicas() if node.replica.active is not None), None)
        if active is not None and batch:
            with contextlib.suppress(InboxFullError):  # the next call sends it again
                active.inbox.put(batch, lambda answer: self._answer(number, batch, answer))
            active.wake_replica()

    def calm(self) -> None:
        """Lets all entities stand still; of entities with one id, one ceases to exist."""
        holders: dict[int, int] = {}
        for number, state in self._oracle.newest().items():
            self._add(number, "calm", 0)
            for entity in state.ids.tolist():
                if entity in holders:
                    self._add(number, "despawn", entity)
                holders[entity] = number
            for link in state.borders.links.values():
                for entity in link.entities.ids.tolist():
                    if entity in holders:
                        self._add(holders[entity], "despawn", entity)

    def _new(self, number: int) -> None:
        rng, state = self._rng, self._oracle.chronicles[number].newest
        known = state.ids.tolist()
        op = rng.choices(("add", "spawn", "despawn", "jump", "wrong"), (10, 4 if len(known) < 10 else 1, 1, 2, 1))[0]
        if op == "spawn":
            self._spawn(number, known)
        elif op == "wrong" or not known:
            others = [i for n, c in self._oracle.chronicles.items() if n != number for i in c.newest.ids.tolist()]
            self._add(number, "add", rng.choice(others or [7]), amount=1)
        elif op == "jump":
            place = [rng.uniform(low, high) for low, high in zip(WORLD.min, WORLD.max, strict=True)]
            self._add(number, "set", rng.choice(known), position=place)
        elif op == "despawn":
            self._add(number, "despawn", rng.choice(known))
        else:
            self._add(number, "add", rng.choice(known), amount=rng.randrange(1, 100))

    def _send_elsewhere(self, number: int) -> None:
        """Sends a command that another area has applied, as a client does that lost the answer and finds the entity."""
        here, answers = self._oracle.chronicles[number].newest.ids, self._oracle.answers
        known = [
            command
            for other, old in self._old.items()
            for command in old
            if other != number and command.op == "add" and command.entity in here and is_applied(answers[command.id])
        ]
        command = self._rng.choice(known) if known else None
        if command is not None and not any(command.id in opened for opened in self._open.values()):
            self._open[number][command.id] = msgspec.structs.replace(command, attempt=command.attempt + 2)

    def _spawn(self, number: int, known: list[int]) -> None:
        rng = self._rng
        birth = _FIRST_BIRTH + self._number
        entity = birth
        if self._clashes and rng.random() < 0.5:
            links = self._oracle.chronicles[number].newest.borders.links.values()
            leaving = [i for link in links for i in link.entities.ids.tolist()]
            elsewhere = [i for c in self._oracle.chronicles.values() for i in c.newest.ids.tolist()]
            entity = rng.choice((leaving if rng.random() < 0.5 else elsewhere) or [birth])
        place = [rng.uniform(low, high) for low, high in zip(WORLD.min, WORLD.max, strict=True)]
        speed = [rng.gauss(0.0, SPEED) for _axis in range(3)]
        parent = rng.choice(known) if known and rng.random() < 0.3 else 0
        self._add(number, "spawn", entity, birth=birth, position=place, velocity=speed, parent=parent)

    def _add(self, number: int, op: str, entity: int, **values: float | list[float]) -> Command:
        self._number += 1
        # As the decoder of requests does: the bytes of a forwarded command do not depend on the way that it came.
        components: dict[str, Value] = {n: v if isinstance(v, list) else float(v) for n, v in values.items()}
        attempt = 1 if op != "spawn" and self._rng.random() < 0.5 else 0
        command = Command(f"c{self._number}", op, entity, components, attempt)
        self._open[number][command.id] = command
        self._oracle.amounts[command.id] = int(components.get("amount", 0.0))  # type: ignore[arg-type]
        self._oracle.targets[command.id] = entity
        return command

    def _answer(self, number: int, batch: list[Command], answer: Committed | ReplicaError) -> None:
        if not isinstance(answer, Committed):
            return
        for command, result in zip(batch, answer.results, strict=True):
            self._oracle.answered(number, command, result)
            if self._open[number].get(command.id) is command:
                del self._open[number][command.id]
                self._old[number].append(command)
                self._finish(command, result)

    def _finish(self, command: Command, result: Result) -> None:
        """Notes an answer, and follows an entity that has moved."""
        self.applied += result.status is Status.APPLIED
        self.refused += result.status is Status.REJECTED
        self.moved += result.status is Status.MOVED
        if result.status is not Status.MOVED or not 0 < command.attempt < _MOST_ATTEMPTS:
            return
        named = next((n for n in self._open if f"area-{n}" == result.area), None)
        there = next((n for n, c in self._oracle.chronicles.items() if command.entity in c.newest.ids), named)
        if there is not None:
            self._open[there][command.id] = msgspec.structs.replace(command, attempt=command.attempt + 1)
