"""A client in virtual time."""

from __future__ import annotations

import collections
import contextlib
import random
from collections.abc import Iterable

from pairsim.model.commands import Command
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.service import Committed, InboxFullError, ReplicaError
from tests.simulation.oracle import Oracle


class SimClient:
    """Sends numbered commands, again with the same id until they are answered, and at times once more."""

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._open: dict[str, Command] = {}
        self._answered: collections.deque[Command] = collections.deque(maxlen=30)
        self._number = 0

    @property
    def next_id(self) -> str:
        """The id of the next new command."""
        return f"c{self._number + 1}"

    def send(self, rng: random.Random, nodes: Iterable[AreaNode]) -> None:
        """Sends a new command, and again those without an answer, to the first node that is active."""
        if self._number < 10_000:
            self._number += 1
            command = Command(
                id=f"c{self._number}", op="add", entity=rng.randrange(10), components={"amount": self._number}
            )
            self._open[command.id] = command
        batch = list(self._open.values())[:20]
        if self._answered and rng.random() < 0.2:
            batch.append(rng.choice(self._answered))
        for node in nodes:
            if node.replica.active is not None:
                with contextlib.suppress(InboxFullError):  # the next call sends it again
                    node.inbox.put(batch, self._answer)
                node.wake_replica()
                return

    def _answer(self, answer: Committed | ReplicaError) -> None:
        if isinstance(answer, Committed):
            for result in answer.results:
                command = self._open.pop(result.id, None)
                if command is not None:
                    self._answered.append(command)
                self._oracle.answered(result)
