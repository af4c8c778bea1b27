"""The simulation of several areas can fail: it finds faults of links and borders that are planted into the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from pairsim.model.borders import answers, commands, crossing, groups, state, taking
from pairsim.model.borders.codec import deltas
from pairsim.model.borders.entity_sets import NO_IDS
from pairsim.model.borders.link import Link
from pairsim.model.borders.state import BorderState
from pairsim.replication.links import arrivals, ends, exchange, outbox
from pairsim.replication.links.outbox import Outbox
from pairsim.replication.replica import active, in_flight, replica
from pairsim.replication.sync import area_tick
from tests.simulation.plane import faults

SEEDS = 60


def found() -> bool:
    """Returns whether any seed fails."""
    for seed in range(SEEDS):
        try:
            faults.run(seed)
        except (AssertionError, KeyError, RuntimeError, ValueError, IndexError, TypeError):
            return True
    return False


# --- those of the model


def takes_any_sequence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Link, "takes", lambda _self, _sequence: True)


def sends_and_acknowledges_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(replica, "newest_borders", lambda state, _committed: state.borders)


def drops_an_entry_before_its_return(patch: pytest.MonkeyPatch) -> None:
    def settle(self: Link) -> None:
        counting, self.waiting = self.waiting, ()
        self.drop(max((a.taken for a in counting), default=0))

    patch.setattr(Link, "settle", settle)


def ignores_the_clocks_of_messages(patch: pytest.MonkeyPatch) -> None:
    clock = taking.next_clock
    patch.setattr(taking, "next_clock", lambda known, inputs: clock(known, inputs._replace(arrivals=())))


def ignores_the_clocks_of_acknowledgements(patch: pytest.MonkeyPatch) -> None:
    clock = taking.next_clock
    patch.setattr(taking, "next_clock", lambda known, inputs: clock(known, inputs._replace(acknowledgements=())))


def crosses_without_its_children(patch: pytest.MonkeyPatch) -> None:
    alone = lambda _self, roots: groups.GroupRows(roots, np.ones(len(roots), np.int64))  # noqa: E731
    patch.setattr(groups.Groups, "members", alone)


def takes_without_room(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(taking._Taking, "_has_room", lambda _self, _bundle: True)


def spawns_an_id_that_is_on_its_way(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(BorderState, "waits", lambda _self, ids: np.zeros(len(ids), np.bool_))


def crosses_without_a_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(crossing._Leaving, "_within_limits", lambda self: np.ones(len(self._groups.sizes), np.bool_))


def leaves_the_memory_of_commands_behind(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(answers.AnswerWindow, "memory", lambda _self, _ids: answers.NO_MEMORY)


def applies_a_command_again_with_a_higher_attempt(patch: pytest.MonkeyPatch) -> None:
    again = lambda known, attempt: known is None or attempt > known.attempt  # noqa: E731
    patch.setattr(commands, "is_new", again)
    patch.setattr(in_flight, "is_new", again)


# --- those of the replication


def takes_what_it_has_taken_for_another_entry(patch: pytest.MonkeyPatch) -> None:
    put = arrivals.Arrivals.put

    def put_again(self: Any, number: int, sequence: int, message: Any, size: int) -> arrivals.Admission:
        waiting = self._waiting.get(number)
        if waiting is not None and sequence < waiting.expected:
            sequence = waiting.expected
        return put(self, number, sequence, message, size)

    patch.setattr(arrivals.Arrivals, "put", put_again)


def acknowledges_what_waits_for_a_tick(patch: pytest.MonkeyPatch) -> None:
    admit, due = ends.ReceivingEnd.admit, ends.ReceivingEnd.due

    def count(self: Any, received: ends.ReceivedEntry) -> arrivals.Admission:
        admission = admit(self, received)
        if admission is arrivals.Admission.ADMITTED:
            self.admitted = received.entry.sequence
        return admission

    def early(self: Any, posted: Any, now: float) -> bytes | None:
        frame = due(self, posted, now)
        sequence = getattr(self, "admitted", 0)
        if sequence <= posted.acknowledgement(self.number).taken:
            return frame
        return ends.encode_message(msgspec.structs.replace(posted.acknowledgement(self.number), taken=sequence))

    patch.setattr(ends.ReceivingEnd, "admit", count)
    patch.setattr(ends.ReceivingEnd, "due", early)


def posts_an_outbox_that_begins_too_early(patch: pytest.MonkeyPatch) -> None:
    posted_links = exchange.posted_links

    def shifted(borders: Any, term: int, before: Any) -> Any:
        posted = posted_links(borders, term, before)
        links = {
            number: msgspec.structs.replace(link, outbox=Outbox(max(link.outbox.first - 1, 1), link.outbox.entries))
            for number, link in posted.links.items()
        }
        return msgspec.structs.replace(posted, links=links)

    patch.setattr(exchange, "posted_links", shifted)


def begins_a_connection_after_what_it_has_sent_before(patch: pytest.MonkeyPatch) -> None:
    due = outbox.OutboxCursor.due

    def after_all(self: Any, posted: Outbox) -> Any:
        if self._next is not None and not self._under_way and self._next <= posted.last and posted.first > 1:
            self._next = posted.last + 1
        return due(self, posted)

    patch.setattr(outbox.OutboxCursor, "due", after_all)


def replays_without_what_came_over_borders(patch: pytest.MonkeyPatch) -> None:
    nothing = lambda _record, _schema: area_tick.NO_INPUTS  # noqa: E731
    patch.setattr(area_tick, "inputs_of", nothing)
    patch.setattr(active, "inputs_of", nothing)


def follows_without_what_an_area_holds(patch: pytest.MonkeyPatch) -> None:
    apply = deltas.apply_delta

    def forgetful(borders: Any, data: bytes, schema: Any) -> BorderState:
        after = apply(borders, data, schema)
        after.held = state.EntityNumbers()
        return after

    from pairsim.replication.sync import follower  # noqa: PLC0415 - only here

    patch.setattr(follower, "apply_delta", forgetful)


def loses_what_waits_because_of_a_limit(patch: pytest.MonkeyPatch) -> None:
    cross = crossing._Leaving.cross

    def lose(self: Any) -> crossing.Crossings:
        crossings = cross(self)
        if len(self._state.queue):
            self._table.despawn(self._state.queue[-1:].copy())
            self._state.queue = NO_IDS
        return crossings

    patch.setattr(crossing._Leaving, "cross", lose)


MODEL = (
    takes_any_sequence,
    sends_and_acknowledges_before_the_commit,
    drops_an_entry_before_its_return,
    ignores_the_clocks_of_messages,
    ignores_the_clocks_of_acknowledgements,
    crosses_without_its_children,
    takes_without_room,
    spawns_an_id_that_is_on_its_way,
    crosses_without_a_limit,
    leaves_the_memory_of_commands_behind,
    applies_a_command_again_with_a_higher_attempt,
)
REPLICATION = (
    takes_what_it_has_taken_for_another_entry,
    acknowledges_what_waits_for_a_tick,
    posts_an_outbox_that_begins_too_early,
    begins_a_connection_after_what_it_has_sent_before,
    replays_without_what_came_over_borders,
    follows_without_what_an_area_holds,
    loses_what_waits_because_of_a_limit,
)


@pytest.mark.parametrize("plant", [*MODEL, *REPLICATION], ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    assert found()
