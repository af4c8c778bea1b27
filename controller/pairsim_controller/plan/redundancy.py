"""Whether an area would outlive the loss of any one of its members: the same question for a laptop and for a cluster.

The active knows it of its passive better than anybody who asks that one over HTTP. Of the witness it knows only that it
is linked: whether that process is about to be gone, the backend knows. So both are asked, about the generation that the
active is in: the next one, which may be on its way, is none yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from pairsim.model.status import ReplicaStatus, Role, WitnessStatus

Statuses = Mapping[str, ReplicaStatus | WitnessStatus]
"""What processes that can be reached said, by their names."""


class Lack(msgspec.Struct, frozen=True):
    """Why the loss of one member would stop the area.

    Attributes:
        reason: In one word.
        sentence: For people.
    """

    reason: str
    sentence: str


def active_of(area: str, statuses: Iterable[ReplicaStatus | WitnessStatus]) -> ReplicaStatus | None:
    """Who says that it is the active of an area, in the highest term."""
    replicas = [s for s in statuses if isinstance(s, ReplicaStatus) and s.area == area]
    return max((s for s in replicas if s.role is Role.ACTIVE), key=lambda s: s.term, default=None)


def lack(area: str, statuses: Statuses) -> Lack | None:
    """What an area lacks; None if nothing."""
    active = active_of(area, statuses.values())
    if active is None:
        return Lack("NoActive", _without_active(area, statuses))
    *pair, third = active.members
    peer, witness = next((name for name in pair if name != active.replica), ""), statuses.get(third)
    if not isinstance(witness, WitnessStatus):
        return Lack("NoWitness", f"{third}, its witness, cannot be reached")
    joined = next((g for g in witness.areas if (g.area, g.generation) == (area, active.generation)), None)
    if joined is None:
        return Lack("NoWitness", f"{third}, its witness, has not joined yet")
    if not joined.votes:
        return Lack("NoWitness", f"{third}, its witness, is new and does not vote yet")
    if not active.peer_in_sync:
        return Lack("PassiveNotInSync", _of_the_passive(area, peer, statuses.get(peer)))
    return None


def _without_active(area: str, statuses: Statuses) -> str:
    found = [s for _name, s in sorted(statuses.items()) if isinstance(s, ReplicaStatus) and s.area == area]
    return f"{found[0].replica} is {found[0].role}, and none is active" if found else "no replica can be reached"


def _of_the_passive(area: str, name: str, status: ReplicaStatus | WitnessStatus | None) -> str:
    if not isinstance(status, ReplicaStatus) or status.area != area:
        return f"{name}, its passive, cannot be reached"
    return f"{name} is {status.role}" if status.role is not Role.PASSIVE else f"{name} is not in sync"
