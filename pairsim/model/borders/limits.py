"""The bounds of what an area exchanges. All areas of a plane and all replicas of an area have the same ones."""

from __future__ import annotations

from typing import NamedTuple


class BorderLimits(NamedTuple):
    """The bounds of one area.

    Attributes:
        transfers: Entities that cross in one tick at most. A single group may be larger.
        bytes: Bytes of the rows that cross in one tick, at most. A message has to fit into the record of a tick, so a
            group with more never crosses; a single entity does.
        memory: Bytes of answers that a message takes along, at most; of those to older commands nothing is known where
            the entities go.
        waiting: Entities that wait in the outbox for one area at most. A single group may be larger.
        messages: Messages with groups that wait in the outbox for one area at most.
        orders: Commands that wait in the outbox for one area at most.
        attempts: The attempt at which an area gives up following an entity.
        held_ticks: How long an entity stays after another area refused it.
        departed: Entities whose departure is remembered, at most; the newest tick is always remembered.
        departed_ticks: Ticks whose departures are remembered, at most.
        answers: Commands whose answers are remembered, about; a command with an older id may run again.
        acknowledgements: Acknowledgements of one link that wait until they count, at most.
    """

    transfers: int = 10_000
    bytes: int = 2**21
    memory: int = 2**20
    waiting: int = 50_000
    messages: int = 1_024
    orders: int = 4_096
    attempts: int = 12
    held_ticks: int = 20
    departed: int = 131_072
    departed_ticks: int = 1_200
    answers: int = 131_072
    acknowledgements: int = 16


DEFAULT_LIMITS = BorderLimits()
