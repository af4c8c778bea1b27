"""The status document of a simulator process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase, SimulatorState
from pairsim.replication.clock import monotonic
from pairsim.settings import ProcessSettings

if TYPE_CHECKING:
    from pairsim.replication.replica.node import AreaNode


def spare_status(
    settings: ProcessSettings,
    *,
    started_at: float,
    leaving: bool,
    engine_pid: int | None,
    simulator: SimulatorState | None,
) -> ReplicaStatus:
    """Returns the status of a process that has no area (yet); `simulator` says what keeps it from one."""
    return ReplicaStatus(
        plane="",
        area="",
        replica=settings.name,
        role=Role.SPARE,
        generation=0,
        term=0,
        version=0,
        tick=0,
        synced_tick=0,
        digest="",
        entities=0,
        leader=None,
        members=(),
        in_sync=False,
        peer_in_sync=False,
        started_at=started_at,
        pid=os.getpid(),
        peer=settings.peer_address,
        leaving=leaving,
        engine_pid=engine_pid,
        simulator=simulator,
    )


def replica_status(
    node: AreaNode,
    settings: ProcessSettings,
    *,
    started_at: float,
    leaving: bool,
    secret_problem: str = "",
    engine_pid: int | None = None,
) -> ReplicaStatus:
    """Returns the status of a replica.

    Args:
        node: The replica.
        settings: The settings of its process.
        started_at: When the process started, Unix time in seconds.
        leaving: Whether the process will end soon.
        secret_problem: Which of its peers have another secret, as a sentence; empty if none has.
        engine_pid: The process id of its engine; None while it has none.
    """
    replica, assignment = node.replica, node.membership.assignment
    state, ticks, monitor = replica.state, node.log, replica.tick_rate_monitor
    can_simulate = replica.can_simulate() and node.membership.group.voter
    term, tick = ticks.position()
    authority = state.authority(tick)
    synced = min(state.tick, tick) if state.confirmed else 0  # the state of an active is ahead of the commit
    active = replica.active
    # The replica thread of an active that wakes from a stall steps down a moment after the log went to the next term.
    leading = active is not None and active.term >= term
    leader = node.leader()
    now = monotonic()
    called = simulator = replica.calls.state(now) or replica.failures.state(state.tick, replica.revision, now)
    # A leader that fails in the replay is the active of its area: no other replica goes on in its place.
    leading = leading or (called is not None and replica.leads and state.valid)
    if called is None and not leading and replica.follower.misfit:
        simulator = SimulatorState(node.spec.area, SimulatorPhase.REFUSED, 0.0, replica.follower.misfit)
    return ReplicaStatus(
        plane=node.spec.plane,
        area=node.spec.area,
        replica=settings.name,
        role=Role.ACTIVE if leading else Role.PASSIVE if can_simulate else Role.JOINING,
        generation=assignment.generation,
        term=term,
        version=authority.version,
        number=authority.number,
        tick=tick,
        synced_tick=synced,
        digest=state.digest_text(synced),
        entities=len(state.table),
        outside=replica.outside.count,
        leader=leader.replica if leader else None,
        members=tuple(m.replica for m in assignment.members()),
        in_sync=can_simulate,
        peer_in_sync=node.peer_in_sync(),
        started_at=started_at,
        pid=os.getpid(),
        peer=settings.peer_address,
        divergences=state.divergences,
        leaving=leaving,
        succession=replica.succession if leading else None,
        pace=round(monitor.share, 2) if called is None else 0.0,
        tick_ms=round(monitor.tick_ms, 1),
        simulator=simulator,
        problem="; ".join(filter(None, (node.problem, secret_problem))),
        addresses=tuple(m.peer for m in assignment.members()),
        revision=replica.revision,
        order=replica.orders.newest,
        received_bytes=node.received_bytes() if not leading else 0,
        borders=replica.links.status(tick) if leading else None,
        engine_pid=engine_pid,
    )
