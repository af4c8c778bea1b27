"""A client that sends what a story asks for, and repeats each command until it is answered."""

from __future__ import annotations

import random
from collections.abc import Iterable

from pairsim.model.commands import Command
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.service import Committed, ReplicaError
from tests.simulation.client import SimClient
from tests.simulation.oracle import Oracle
from tests.simulation.traces.recorder import Recorder


class ScriptedClient(SimClient):
    """Sends commands to the active, all in one batch, and again if their outcome is unknown."""

    def __init__(self, oracle: Oracle, recorder: Recorder) -> None:
        super().__init__(oracle)
        self._recorder = recorder
        self._waiting: dict[str, Command] = {}
        self._sent_to: AreaNode | None = None
        self._numbered = 0

    def ask(self, count: int) -> None:
        """Lets the client send new commands as soon as it finds the active."""
        for _ in range(count):
            self._numbered += 1
            command = Command(
                id=f"c{self._numbered}", op="add", entity=self._numbered % 8, components={"amount": self._numbered}
            )
            self._waiting[command.id] = command
        self._sent_to = None

    def send(self, rng: random.Random, nodes: Iterable[AreaNode]) -> None:
        """Sends the commands that are not answered to the first node that is active, once to each."""
        node = next((n for n in nodes if n.replica.active is not None), None)
        if node is None or not self._waiting or node is self._sent_to:
            return
        self._sent_to = node
        batch = list(self._waiting.values())
        self._recorder.add("client", f"sends {names(batch)} to {node._me}")
        node.inbox.put(batch, lambda answer: self._on_answer(node, answer))
        node.wake_replica()

    def _on_answer(self, node: AreaNode, answer: Committed | ReplicaError) -> None:
        if isinstance(answer, ReplicaError):
            self._recorder.add("client", f"gets no result from {node._me}, which lost its leadership")
            if node is self._sent_to:
                self._sent_to = None
            return
        for result in answer.results:
            self._waiting.pop(result.id, None)
            self._oracle.answered(result)
        ticks = ", ".join(sorted({str(result.tick) for result in answer.results}))
        self._recorder.add("client", f"{names(answer.results)} acknowledged in tick {ticks}")


def names(items: Iterable[object]) -> str:
    """Returns the ids of commands or results, first and last if there are many."""
    ids = [str(item.id) for item in items]  # type: ignore[attr-defined]
    return ", ".join(ids) if len(ids) < 4 else f"{ids[0]} to {ids[-1]}"
