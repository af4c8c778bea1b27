"""Whether an area would survive the loss of any one of its members.

Local worlds and clusters answer this question with the same functions. The active knows the state of its passive better
than anybody who asks the passive over HTTP. About the witness the active knows only that it is linked, and the backend
knows whether the witness process is about to end. So both are asked, about the generation that the active is in: a
later generation that is being prepared does not count yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from pairsim.model.assignment import Assignment
from pairsim.model.status import ReplicaStatus, Role, SimulatorState, WitnessStatus

Statuses = Mapping[str, ReplicaStatus | WitnessStatus]
"""The statuses of the processes that can be reached, by name."""


_UNREACHABLE = "cannot be reached"
_PLURALS = {"is": "are", "was": "were", "has": "have"}


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


def redundancy_gap(
    area: str,
    statuses: Statuses,
    recorded: Assignment | None = None,
    notes: Mapping[str, str] = MappingProxyType({}),
    options: str = "",
) -> RedundancyGap | None:
    """Returns the reason why an area is not redundant; None if it is redundant.

    Args:
        area: The name of the area.
        statuses: The statuses of the processes that can be reached.
        recorded: The newest assignment that was decided, which may replace a member that is lost.
        notes: What the backend knows about members that start or have ended lately, by name.
        options: Those that a command needs to reach the world, such as " --port 8081".
    """
    active = active_of(area, statuses.values())
    if active is None:
        return RedundancyGap("NoActive", _without_active(area, statuses, notes))
    if active.simulator is not None:
        return RedundancyGap("SimulatorStuck", _simulator_message(active.replica, active.simulator, options))
    *pair, third = active.members
    peer, witness = next((name for name in pair if name != active.replica), ""), statuses.get(third)
    if not isinstance(witness, WitnessStatus):
        return RedundancyGap("NoWitness", f"{third}, its witness, {notes.get(third, _UNREACHABLE)}")
    joined = next((g for g in witness.areas if (g.area, g.generation) == (area, active.generation)), None)
    if joined is None:
        return RedundancyGap("NoWitness", f"{third}, its witness, has not joined yet")
    if not joined.votes:
        return RedundancyGap("NoWitness", f"{third}, its witness, is new and does not vote yet")
    if not active.peer_in_sync:
        return RedundancyGap("PassiveNotInSync", _passive_message(active, peer, statuses, recorded, notes, options))
    return None


def replica_message(
    name: str,
    status: ReplicaStatus | WitnessStatus | None,
    active: ReplicaStatus,
    note: str = "",
    options: str = "",
) -> str:
    """Returns why a replica of the pair does not count yet; empty if it reports that it is the passive.

    Args:
        name: The name of the replica.
        status: Its status; None if it cannot be reached.
        active: The status of the active.
        note: What the backend knows about it.
        options: Those that a command needs to reach the world, such as " --port 8081".
    """
    if status is None:
        return f"{name} {note or _UNREACHABLE}"
    if isinstance(status, ReplicaStatus) and status.simulator is not None and status.simulator.area == active.area:
        return _simulator_message(name, status.simulator, options)
    if not isinstance(status, ReplicaStatus) or status.area != active.area:
        return f"{name} has not joined yet"
    if status.role is Role.ACTIVE and name != active.replica:
        return f"{name} does not know yet that {active.replica} is active"
    return f"{name} is {status.role}{_because(status)}" if status.role is Role.JOINING else ""


def _simulator_message(name: str, simulator: SimulatorState, options: str) -> str:
    advice = simulator.advice(options)
    return f"{name} {simulator.predicate}" + (f"; {advice}" if advice else "")


def _without_active(area: str, statuses: Statuses, notes: Mapping[str, str]) -> str:
    replicas = [s for _name, s in sorted(statuses.items()) if isinstance(s, ReplicaStatus)]
    reasons = [_sentence(names, note) for note, names in _names_by_note(statuses, notes).items()]
    reasons += [f"{s.replica} {s.simulator.predicate}" for s in replicas if s.simulator and s.simulator.area == area]
    if reasons:
        return "; ".join(reasons)
    found = [s for s in replicas if s.area == area]
    if not found:
        return "no replica can be reached"
    first = next((s for s in found if s.problem), found[0])
    return f"{first.replica} is {first.role}{_because(first)}, and no replica is active"


def _names_by_note(statuses: Statuses, notes: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the replicas that the backend knows something about: both often end in the same way."""
    found: dict[str, list[str]] = {}
    for name, note in sorted(notes.items()):
        if not isinstance(statuses.get(name), WitnessStatus):
            found.setdefault(note, []).append(name)
    return found


def _sentence(names: Sequence[str], predicate: str) -> str:
    """Returns a sentence about one or several processes: "sim-1 was ended", "sim-1 and sim-2 were ended"."""
    if len(names) == 1:
        return f"{names[0]} {predicate}"
    verb, space, rest = predicate.partition(" ")
    return f"{', '.join(names[:-1])} and {names[-1]} {_PLURALS.get(verb, verb)}{space}{rest}"


def _because(status: ReplicaStatus) -> str:
    return f" ({status.problem})" if status.problem else ""


def _passive_message(
    active: ReplicaStatus,
    peer: str,
    statuses: Statuses,
    recorded: Assignment | None,
    notes: Mapping[str, str],
    options: str,
) -> str:
    """Returns what the pair lacks.

    The generation in force may still name a replica that is lost; the recorded one names the replica that takes its
    place, which is the one that the area waits for.
    """
    newcomer = _newcomer(active, peer, recorded)
    name = newcomer or peer
    status = statuses.get(name)
    message = replica_message(name, status, active, notes.get(name, ""), options)
    if not message:
        message = f"{name} is not in sync{_because(status) if isinstance(status, ReplicaStatus) else ''}"
    return f"{message}; it takes the place of {peer}" if newcomer else message


def _newcomer(active: ReplicaStatus, peer: str, recorded: Assignment | None) -> str:
    """Returns the replica that takes the place of `peer` in a generation that is prepared; empty without one."""
    if recorded is None or recorded.generation <= active.generation or recorded.member(peer) is not None:
        return ""
    return next((m.replica for m in recorded.replicas if m.replica not in active.members), "")
