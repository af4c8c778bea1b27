"""The batches of one leadership that a tick has taken and that are not answered yet.

The answer acknowledges the batch. A batch is answered when two events have happened, in either order: the tick is
committed in which its last command was answered, and this tick is computed. The state that it leads to has the answers
(`pairsim/model/borders/answers.py`). A command that the state answers already is not recorded again: its result is
`duplicate`, or `moved` if its entity had left.

A command that an area has forwarded behind its entity is answered when the answer has come back over the link. If this
takes too long, the outcome of its batch is unknown.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

from pairsim.model.borders import AnswerKind, AreaMap, BorderState
from pairsim.model.borders.answers import Answer, command_key
from pairsim.model.borders.commands import attempt_of, is_new
from pairsim.model.commands import Command, Result, Status
from pairsim.replication.replica.inbox import PendingBatch, interrupted
from pairsim.replication.service import Committed


class _OpenCommand:
    """A command without an answer: its hash, and whether it was sent before."""

    __slots__ = ("again", "key")

    def __init__(self, key: bytes, *, again: bool) -> None:
        self.key, self.again = key, again


class _TakenBatch:
    """A batch that a tick has taken.

    Attributes:
        since: The tick.
        answered: The tick of the last answer so far.
        results: The results so far, by place.
        open: The commands without an answer, by place.
    """

    __slots__ = ("answered", "batch", "open", "results", "since")

    def __init__(self, batch: PendingBatch, tick: int) -> None:
        self.batch, self.since, self.answered = batch, tick, 0
        self.results: dict[int, Result] = {}
        self.open: dict[int, _OpenCommand] = {}

    def answer(self, place: int, answer: Answer, known: AreaMap, *, again: bool) -> None:
        """Notes an answer, unless it only says that the command was forwarded."""
        if answer.kind is AnswerKind.FORWARDED:
            self.open.setdefault(place, _OpenCommand(command_key(self.batch.commands[place].id), again=again))
            return
        self.results[place] = _result(self.batch.commands[place].id, answer, known, again=again)
        self.answered = max(self.answered, answer.tick)
        self.open.pop(place, None)


class InFlight:
    """The batches of one leadership whose ticks are under way. Shared by the replica thread and the Raft thread."""

    def __init__(self, tick: int, patience: int) -> None:
        """Starts a leadership.

        Args:
            tick: The last tick that was committed before it.
            patience: How many ticks a batch waits for the answer to a forwarded command.
        """
        self._lock = threading.Lock()
        self._committed = self._computed = tick
        self._patience = patience
        self._waiting: list[_TakenBatch] = []

    def admit(self, batches: Sequence[PendingBatch], tick: int, before: BorderState) -> list[Command]:
        """Assigns batches to a tick.

        Args:
            batches: The batches.
            tick: The tick.
            before: The borders after the tick before.

        Returns:
            The commands for the record of the tick, without those that are answered already.
        """
        recorded: list[Command] = []
        keys: set[bytes] = set()
        taken = [_TakenBatch(batch, tick) for batch in batches]
        hashes = [[command_key(command.id) for command in batch.commands] for batch in batches]
        answers = before.answers.find(itertools.chain.from_iterable(hashes))
        for each, own in zip(taken, hashes, strict=True):
            for place, (command, key) in enumerate(zip(each.batch.commands, own, strict=True)):
                known = answers.get(key)
                if known is not None and not is_new(known, attempt_of(command).attempt):
                    each.answer(place, known, before.map, again=True)
                    continue
                again = key in keys
                each.open[place] = _OpenCommand(key, again=again)
                if not again:
                    keys.add(key)
                    recorded.append(command)
        with self._lock:
            self._waiting += taken
        return recorded

    def on_computed(self, tick: int, after: BorderState, term: int) -> None:
        """Notes that a tick is computed, with the borders after it; answers the batches that this completes."""
        late: list[_TakenBatch] = []
        with self._lock:
            self._computed = tick
            for each in self._waiting:
                for place, command in list(each.open.items()):
                    answer = after.answers.get(command.key)
                    if answer is not None:
                        each.answer(place, answer, after.map, again=command.again)
                if each.open and tick >= each.since + self._patience:
                    late.append(each)
            self._waiting = [each for each in self._waiting if each not in late]
        for each in late:
            each.batch.done(interrupted())
        self._answer(term)

    def on_committed(self, tick: int, term: int) -> None:
        """Notes that a tick's record is committed; answers the batches that this completes."""
        with self._lock:
            self._committed = tick
        self._answer(term)

    def fail_all(self) -> None:
        """Answers all batches with `BatchInterruptedError`: the leadership is over and their outcome is unknown."""
        with self._lock:
            lost, self._waiting = self._waiting, []
        for each in lost:
            each.batch.done(interrupted())

    def _answer(self, term: int) -> None:
        with self._lock:
            final = min(self._committed, self._computed)
            complete = [each for each in self._waiting if not each.open and each.answered <= final]
            if complete:
                self._waiting = [each for each in self._waiting if each.open or each.answered > final]
        for each in complete:
            each.batch.done(Committed(term, [each.results[place] for place in range(len(each.batch.commands))]))


def _result(command: str, answer: Answer, known: AreaMap, *, again: bool) -> Result:
    """Returns an answer of the state as the sender of the command gets it."""
    if answer.kind is AnswerKind.MOVED:
        cell = known.cell(answer.area)
        if cell is None:
            return Result(command, Status.MOVED, answer.tick)
        urls = tuple(replica.url for replica in cell.replicas)
        return Result(command, Status.MOVED, answer.tick, area=cell.area, urls=urls)
    first = Status.REJECTED if answer.kind is AnswerKind.REJECTED else Status.APPLIED
    return Result(command, Status.DUPLICATE if again else first, answer.tick, answer.reason)
