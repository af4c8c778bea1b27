"""Commands to entities that may have moved: which of them a tick applies, and the answers to the others.

An answer belongs to an attempt. An area that answered one attempt of a command ignores this and all earlier ones, and
after a final answer it ignores all. A client that goes to another area counts an attempt more than the one that was
answered. If a client does not follow its entity, the area does: it sends the command over the link behind the entity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from pairsim.model.borders.answers import FINAL, MAX_REASON_CHARACTERS, Answer, AnswerKind, command_key
from pairsim.model.borders.messages import ForwardedAnswer, ForwardedCommand
from pairsim.model.borders.state import BorderState
from pairsim.model.commands import BASE_OPS, Command
from pairsim.model.state.table import Table


class CommandAttempt(NamedTuple):
    """A command of a client.

    Attributes:
        command: The command.
        attempt: Which attempt of the client it is; 1 for the first.
        follows: Whether the client goes to another area by itself when the answer is `moved`.
    """

    command: Command
    attempt: int = 1
    follows: bool = True


class Decided(NamedTuple):
    """What a tick does with a command.

    Attributes:
        runs: Whether the tick applies it. Its answer is `applied` until the step rejects it.
        answer: The answer.
    """

    runs: bool
    answer: Answer


def attempt_of(command: Command) -> CommandAttempt:
    """Returns a command as an attempt. One without a number is from a client that does not follow."""
    return CommandAttempt(command, command.attempt or 1, follows=command.attempt > 0)


def decide(state: BorderState, table: Table, attempts: Sequence[CommandAttempt], tick: int) -> list[Decided]:
    """Decides about the commands of a tick, after `take` and before the step.

    The step runs the commands that every area has first, in their order, and those of the simulator after them. So an
    entity that a tick spawns is here for all of the simulator's commands, and one that it despawns is not.

    Args:
        state: The state of the borders.
        table: The entities before the step.
        attempts: The commands.
        tick: The number of the tick.

    Returns:
        For each command, whether it runs, and its answer.
    """
    if not attempts:
        return []
    ids = np.fromiter((a.command.entity for a in attempts), np.int64, len(attempts))
    present = table.rows(ids) >= 0
    here = set(ids[present].tolist())
    missing = np.flatnonzero(~present)
    gone = dict(zip(ids[missing].tolist(), state.departures.areas_of(ids[missing]), strict=True))
    waiting = set(ids[missing][state.waits(ids[missing])].tolist())
    keys = [command_key(attempt.command.id) for attempt in attempts]
    deciding = _Deciding(state, state.answers.find(keys), here, waiting, gone, tick)
    decided: dict[int, Decided] = {}
    later: list[int] = []
    for place, attempt in enumerate(attempts):
        if attempt.command.op in BASE_OPS:
            decided[place] = deciding.decide(keys[place], attempt)
        else:
            later.append(place)
    for place in later:
        decided[place] = deciding.decide(keys[place], attempts[place])
    return [decided[place] for place in range(len(attempts))]


def settle(state: BorderState, orders: Sequence[ForwardedCommand], rejected: Mapping[str, str]) -> None:
    """Notes which commands the step rejected, and sends the answers to forwarded commands, before `cross`.

    Args:
        state: The state of the borders.
        orders: The forwarded commands that the tick has applied.
        rejected: The reasons of all commands of the tick that were rejected, by the commands' ids.
    """
    for command, reason in rejected.items():
        key = command_key(command)
        known = state.answers.get(key)
        if known is not None and known.kind is AnswerKind.APPLIED:
            rejected_answer = msgspec.structs.replace(known, kind=AnswerKind.REJECTED, reason=_short(reason))
            state.answers.put(key, rejected_answer)
    for order in orders:
        key = command_key(order.command.id)
        known = state.answers.get(key)
        if known is not None and order.origin != state.number:
            state.send(order.origin, ForwardedAnswer(key, known))


def follow(state: BorderState, table: Table, order: ForwardedCommand, tick: int) -> bool:
    """Decides about a forwarded command that arrived. Returns whether the tick applies it."""
    key, entity, owed = command_key(order.command.id), order.command.entity, order.origin == state.number
    known = state.answers.get(key)
    if known is not None and not is_new(known, order.attempt):
        answer = known
    elif table.row(entity) is not None:
        state.answers.put(key, Answer(AnswerKind.APPLIED, order.attempt, entity, tick=tick))
        return True
    else:
        (there,) = state.departures.areas_of(np.array([entity], np.int64))
        if there and order.attempt < state.limits.attempts and _may_forward(state, there):
            state.send(there, msgspec.structs.replace(order, attempt=order.attempt + 1))
            kind = AnswerKind.FORWARDED if owed else AnswerKind.MOVED
            state.answers.put(key, Answer(kind, order.attempt, entity, there, tick=tick))
            return False
        answer = Answer(AnswerKind.MOVED, order.attempt, entity, tick=tick)
        state.answers.put(key, answer)
    if not owed:
        state.send(order.origin, ForwardedAnswer(key, answer))
    return False


def settle_forwarded(state: BorderState, arrived: ForwardedAnswer, tick: int) -> None:
    """Notes the answer to a command that this area forwarded and still waits for."""
    known = state.answers.get(arrived.key)
    if known is not None and known.kind is AnswerKind.FORWARDED:
        attempt = max(arrived.answer.attempt, known.attempt)
        state.answers.put(arrived.key, msgspec.structs.replace(arrived.answer, attempt=attempt, tick=tick))


def is_new(known: Answer | None, attempt: int) -> bool:
    """Returns whether an attempt was not answered before."""
    return known is None or (known.kind not in FINAL and attempt > known.attempt)


class _Deciding:
    """The decisions of one tick.

    Attributes:
        known: The newest answers to the tick's commands, by the hashes of their ids.
        here: The entities that are here at this place of the tick.
        waiting: Those that are not here and wait in an outbox.
        gone: Where those that are not here went, as far as that is known.
    """

    def __init__(
        self,
        state: BorderState,
        known: dict[bytes, Answer],
        here: set[int],
        waiting: set[int],
        gone: Mapping[int, int],
        tick: int,
    ) -> None:
        self._state, self._tick = state, tick
        self.known, self.here, self.waiting, self.gone = known, here, waiting, gone

    def decide(self, key: bytes, attempt: CommandAttempt) -> Decided:
        known = self.known.get(key)
        if known is not None and not is_new(known, attempt.attempt):
            return Decided(runs=False, answer=known)
        answer = self._spawn(attempt) if attempt.command.op == "spawn" else self._other(attempt)
        self._state.answers.put(key, answer, new=known is None)
        self.known[key] = answer
        return Decided(runs=answer.kind is AnswerKind.APPLIED, answer=answer)

    def _spawn(self, attempt: CommandAttempt) -> Answer:
        """Decides about a spawn: its id is free if it is neither in the table nor in an outbox."""
        entity = attempt.command.entity
        if entity in self.here or entity in self.waiting:
            reason = "exists already" if entity in self.here else "is on its way to another area"
            return Answer(AnswerKind.REJECTED, attempt.attempt, entity, 0, f"entity {entity} {reason}", self._tick)
        self.here.add(entity)
        return Answer(AnswerKind.APPLIED, attempt.attempt, entity, tick=self._tick)

    def _other(self, attempt: CommandAttempt) -> Answer:
        state, command, entity = self._state, attempt.command, attempt.command.entity
        if entity in self.here:
            if command.op == "despawn":
                self.here.discard(entity)
            return Answer(AnswerKind.APPLIED, attempt.attempt, entity, tick=self._tick)
        there = self.gone.get(entity, 0)
        if not there and not attempt.follows:  # the step says that the entity is missing
            return Answer(AnswerKind.APPLIED, attempt.attempt, entity, tick=self._tick)
        if attempt.follows or not _may_forward(state, there):
            return Answer(AnswerKind.MOVED, attempt.attempt, entity, there, tick=self._tick)
        state.send(there, ForwardedCommand(command, attempt.attempt + 1, state.number))
        return Answer(AnswerKind.FORWARDED, attempt.attempt, entity, there, tick=self._tick)


def _may_forward(state: BorderState, area: int) -> bool:
    return state.link(area).orders < state.limits.orders


def _short(reason: str) -> str:
    return reason[:MAX_REASON_CHARACTERS]
