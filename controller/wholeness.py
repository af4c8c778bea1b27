"""Whether a pair would outlive the loss of any one of its members: the same question for a laptop and for a cluster.

The active's word alone is not enough. It speaks of the generation that it is in: while the next one is on its way, its
witness may be the one whose loss is why there is a next one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pairsim.model.assignment import ReplicaStatus, Role, WitnessStatus


class Lack(msgspec.Struct, frozen=True):
    """Why the loss of one member would stop the area.

    Attributes:
        reason: In one word.
        sentence: For people.
    """

    reason: str
    sentence: str


def active_of(statuses: Sequence[ReplicaStatus]) -> ReplicaStatus | None:
    """Who says that it is the active, in the highest term."""
    return max((s for s in statuses if s.role is Role.ACTIVE), key=lambda s: s.term, default=None)


def lack(pair: Sequence[ReplicaStatus], witness: ReplicaStatus | WitnessStatus | None) -> Lack | None:
    """What is missing; None if nothing is.

    Args:
        pair: What those of the area's replicas said that can be reached.
        witness: What the witness of the newest assignment said; None if it cannot be reached.
    """
    active = active_of(pair)
    other = next((s for s in pair if active is None or s.replica != active.replica), None)
    if active is None:
        sentence = f"{other.replica} is {other.role}, and none is active" if other else "no replica can be reached"
        return Lack("NoActive", sentence)
    if other is None:
        return Lack("PassiveNotInSync", f"{active.replica} is active alone")
    if other.role is not Role.PASSIVE:
        return Lack("PassiveNotInSync", f"{other.replica} is {other.role}")
    if not isinstance(witness, WitnessStatus):
        return Lack("NoWitness", "its witness cannot be reached")
    joined = next((g for g in witness.areas if (g.area, g.generation) == (active.area, active.generation)), None)
    if joined is None:
        return Lack("NoWitness", f"{witness.replica}, its witness, has not joined yet")
    if not joined.votes:
        return Lack("NoWitness", f"{witness.replica}, its witness, is new and does not vote yet")
    if not (active.peer_in_sync and other.in_sync and other.generation == active.generation):
        return Lack("PassiveNotInSync", f"{other.replica} is not in sync")
    return None
