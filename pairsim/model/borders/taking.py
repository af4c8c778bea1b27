"""What a tick takes in before its step: maps, acknowledgements and arrivals."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pairsim.model.borders.area_map import AreaMap
from pairsim.model.borders.commands import follow, settle_forwarded
from pairsim.model.borders.entity_sets import NO_IDS, Ids
from pairsim.model.borders.messages import (
    Arrival,
    BorderInputs,
    Bundle,
    ForwardedAnswer,
    ForwardedCommand,
    LinkMessage,
)
from pairsim.model.borders.state import BorderState
from pairsim.model.state.table import Table


class Taken(NamedTuple):
    """What came in with a tick.

    Attributes:
        arrived: The entities that came or came back; they are the last rows of the table, in this order, int64 (k,).
        late: How many clocks ago each of them left, int64 (k,).
        orders: Forwarded commands that the tick has to apply, before those of clients.
        refused: Entities that were refused, int64 (r,).
    """

    arrived: Ids = NO_IDS
    late: Ids = NO_IDS
    orders: tuple[ForwardedCommand, ...] = ()
    refused: Ids = NO_IDS


def take(state: BorderState, table: Table, inputs: BorderInputs, tick: int) -> Taken:
    """Takes in the inputs of a tick, before its step.

    Args:
        state: The state of the borders after the tick before.
        table: The entities after the tick before.
        inputs: All that the tick takes in.
        tick: The number of the tick.
    """
    state.clock = next_clock(state.clock, inputs)
    for granted in inputs.grants:
        if granted.version > state.version:
            state.map = AreaMap(granted.version, granted.cells)
            state.number = state.number or granted.number
    state.ahead = state.ahead.above(state.version)
    for number, acknowledgement in inputs.acknowledgements:
        state.link(number).note(acknowledgement, state.limits.acknowledgements)
    taking = _Taking(state, table, inputs.room, tick)
    for arrival in inputs.arrivals:
        taking.take(arrival)
    for link in state.links.values():
        link.settle()
    return taking.result()


def next_clock(clock: int, inputs: BorderInputs) -> int:
    """Returns the clock of a record: larger than the one before, and at least that of all that it takes in."""
    seen = [a.clock for _, a in inputs.acknowledgements] + [a.message.clock for a in inputs.arrivals]
    return max(max([clock, *inputs.clocks]) + 1, *seen, 0)


class _Taking:
    """The arrivals of one tick."""

    def __init__(self, state: BorderState, table: Table, room: int, tick: int) -> None:
        self._state, self._table, self._room, self._tick = state, table, room, tick
        self._arrived: list[Ids] = []
        self._late: list[Ids] = []
        self._refused: list[Ids] = []
        self._orders: list[ForwardedCommand] = []

    def take(self, arrival: Arrival) -> None:
        """Takes a message if it is the next one, and if there is room for it."""
        link = self._state.link(arrival.area)
        body = arrival.message.body
        if not link.takes(arrival.sequence) or (isinstance(body, Bundle) and not self._has_room(body)):
            return
        link.taken = arrival.sequence
        match body:
            case Bundle():
                self._arrive(arrival.area, arrival.message, body)
            case ForwardedCommand():
                if follow(self._state, self._table, body, self._tick):
                    self._orders.append(body)
            case ForwardedAnswer():
                settle_forwarded(self._state, body, self._tick)

    def result(self) -> Taken:
        """Returns what came in."""
        return Taken(_joined(self._arrived), _joined(self._late), tuple(self._orders), _joined(self._refused))

    def _has_room(self, bundle: Bundle) -> bool:
        """Returns whether groups fit into the table. Those that return always do: they had their place here."""
        return bundle.returned or len(self._table) + len(bundle) <= self._room

    def _arrive(self, area: int, message: LinkMessage, bundle: Bundle) -> None:
        state = self._state
        clash = bundle.per_group(self._are_known(area, message, bundle))
        kept = bundle.groups(~clash, returned=bundle.returned)
        if len(kept):
            self._table.spawn(kept.ids, kept.columns)
            state.counters.taken += len(kept)
            self._arrived.append(kept.ids)
            self._late.append(np.full(len(kept), state.clock - message.clock, np.int64))
        if bundle.returned:
            state.held = state.held.put(kept.ids, self._tick + state.limits.held_ticks)
        elif bundle.version > state.version:
            state.ahead = state.ahead.put(kept.ids, bundle.version)
        for key, answer in kept.memory:
            state.answers.put(key, msgspec.structs.replace(answer, tick=self._tick))
        if clash.any():
            self._refuse(area, bundle, clash)

    def _are_known(self, area: int, message: LinkMessage, bundle: Bundle) -> npt.NDArray[np.bool_]:
        """Returns which entities of a bundle have ids that are in use here, in the table or in an outbox.

        An entry of the outbox for the sender does not count if the sender had taken it before: it is the entity itself
        that comes back.
        """
        known = self._table.rows(bundle.ids) >= 0
        if not bundle.returned:  # what returns is in an outbox
            for number, link in self._state.links.items():
                known |= link.waits(bundle.ids, after=message.taken if number == area else 0)
        return known

    def _refuse(self, area: int, bundle: Bundle, clash: npt.NDArray[np.bool_]) -> None:
        """Sends groups back. Of groups that came back themselves nothing is left but a count.

        Births in this area are refused while an id is in an outbox. So such a group can only be that of an area which
        sends back what it was never sent.
        """
        counters = self._state.counters
        back = bundle.groups(clash, returned=True)
        counters.conflicts += len(back)
        self._refused.append(back.ids)
        if bundle.returned:
            counters.taken += len(back)
            counters.died += len(back)
        else:
            self._state.send(area, back)


def _joined(arrays: list[Ids]) -> Ids:
    return np.concatenate(arrays) if arrays else NO_IDS
