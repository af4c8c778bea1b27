"""Whether an area would survive the loss of any one of its members.

Local worlds and clusters answer this question with the same functions. The active knows the state of its passive better
than anybody who asks the passive over HTTP. About the witness the active knows only that it is linked, and the backend
knows whether the witness process is about to end. So both are asked, about the generation that the active is in: a
later generation that is being prepared does not count yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from pairsim.model.status import ReplicaStatus, Role, WitnessStatus

Statuses = Mapping[str, ReplicaStatus | WitnessStatus]
"""The statuses of the processes that can be reached, by name."""


class RedundancyGap(msgspec.Struct, frozen=True):
    """The reason why the loss of one member would stop the area.

    Attributes:
        reason: One word.
        message: A sentence for people.
    """

    reason: str
    message: str


def active_of(area: str, statuses: Iterable[ReplicaStatus | WitnessStatus]) -> ReplicaStatus | None:
    """Returns the status of the replica that calls itself active in the highest term; None without such a replica."""
    replicas = [s for s in statuses if isinstance(s, ReplicaStatus) and s.area == area]
    return max((s for s in replicas if s.role is Role.ACTIVE), key=lambda s: s.term, default=None)


def redundancy_gap(area: str, statuses: Statuses) -> RedundancyGap | None:
    """Returns the reason why an area is not redundant; None if it is redundant."""
    active = active_of(area, statuses.values())
    if active is None:
        return RedundancyGap("NoActive", _without_active(area, statuses))
    if active.simulator is not None:
        return RedundancyGap("SimulatorStuck", f"{active.replica} {active.simulator.predicate}")
    *pair, third = active.members
    peer, witness = next((name for name in pair if name != active.replica), ""), statuses.get(third)
    if not isinstance(witness, WitnessStatus):
        return RedundancyGap("NoWitness", f"{third}, its witness, cannot be reached")
    joined = next((g for g in witness.areas if (g.area, g.generation) == (area, active.generation)), None)
    if joined is None:
        return RedundancyGap("NoWitness", f"{third}, its witness, has not joined yet")
    if not joined.votes:
        return RedundancyGap("NoWitness", f"{third}, its witness, is new and does not vote yet")
    if not active.peer_in_sync:
        return RedundancyGap("PassiveNotInSync", _passive_message(area, peer, statuses.get(peer)))
    return None


def _without_active(area: str, statuses: Statuses) -> str:
    replicas = [s for _name, s in sorted(statuses.items()) if isinstance(s, ReplicaStatus)]
    if reasons := [
        f"{s.replica} {s.simulator.predicate}" for s in replicas if s.simulator and s.simulator.area == area
    ]:
        return "; ".join(reasons)
    found = [s for s in replicas if s.area == area]
    if not found:
        return "no replica can be reached"
    first = next((s for s in found if s.problem), found[0])
    return f"{first.replica} is {first.role}{_because(first)}, and no replica is active"


def _passive_message(area: str, name: str, status: ReplicaStatus | WitnessStatus | None) -> str:
    if not isinstance(status, ReplicaStatus) or status.area != area:
        return f"{name}, its passive, cannot be reached"
    role = str(status.role) if status.role is not Role.PASSIVE else "not in sync"
    return f"{name} is {role}{_because(status)}"


def _because(status: ReplicaStatus) -> str:
    return f" ({status.problem})" if status.problem else ""
