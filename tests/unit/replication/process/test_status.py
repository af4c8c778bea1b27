"""What the status of a replica says while leaderships change."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairsim.model.status import ReplicaStatus, Role, SimulatorPhase, SimulatorState
from pairsim.replication.log.records import Open, encode_record
from pairsim.replication.process.status import replica_status
from pairsim.replication.raft.node import RaftNode
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.service import OrderResult
from tests.simulation.conftest import virtual_time  # noqa: F401 - the fixture puts the clock back
from tests.simulation.world import World
from tests.unit.replication.process.processes import settings
from tests.unit.replication.replica.test_handover_request import active_of


@pytest.fixture
def world() -> World:
    world = World(4)
    world.settle(lambda: None)
    return world


def status(node: AreaNode, folder: Path) -> ReplicaStatus:
    return replica_status(node, settings("a", folder), started_at=1.0, leaving=False, secret_problem="")


def test_an_active_that_slept_through_an_election_is_not_reported_as_active(world: World, tmp_path: Path) -> None:
    """It reads the next term in the log before it notices that it does not lead any more."""
    node, active = active_of(world)
    before = status(node, tmp_path)
    assert (before.role, before.term) == (Role.ACTIVE, active.term)
    assert before.succession == node.replica.succession
    node.log.apply(encode_record(Open(active.term + 1)))
    after = status(node, tmp_path)
    assert (after.role, after.term, after.succession) == (Role.PASSIVE, active.term + 1, None)


def test_a_replica_with_ticks_that_may_be_undone_is_joining_and_has_no_state_to_show(
    world: World, tmp_path: Path
) -> None:
    node, active = active_of(world)
    passive = world.processes[node.other_replica().replica].node
    assert isinstance(passive, AreaNode)
    assert (status(passive, tmp_path).role, status(passive, tmp_path).in_sync) == (Role.PASSIVE, True)
    passive.replica.state.unconfirmed_term = active.term
    shown = status(passive, tmp_path)
    assert (shown.role, shown.in_sync, shown.synced_tick, shown.digest) == (Role.JOINING, False, 0, "")


def test_a_replica_that_does_not_vote_is_joining(world: World, tmp_path: Path) -> None:
    node, _active = active_of(world)
    passive = world.processes[node.other_replica().replica].node
    assert isinstance(passive, AreaNode)
    passive.membership.group._quarantine.active = True
    assert status(passive, tmp_path).role is Role.JOINING


def test_a_state_ahead_of_the_commit_counts_as_synced_up_to_the_commit(world: World, tmp_path: Path) -> None:
    node, _active = active_of(world)
    node.replica.state.tick = node.log.tick + 2
    shown = status(node, tmp_path)
    assert shown.synced_tick == shown.tick == node.log.tick


def test_the_active_alone_reports_its_borders(world: World, tmp_path: Path) -> None:
    node, _active = active_of(world)
    passive = world.processes[node.other_replica().replica].node
    assert isinstance(passive, AreaNode)
    shown = status(node, tmp_path)
    assert shown.borders is not None
    assert shown.borders.born == shown.entities
    assert status(passive, tmp_path).borders is None


def test_the_pair_is_in_sync_only_with_a_passive_that_could_take_over_and_a_witness_that_votes(world: World) -> None:
    node, _active = active_of(world)
    group, peer = node.membership.group, node.other_replica().replica
    assert node.peer_in_sync()
    for member, changes in ((peer, {"capable": False}), (peer, {"quarantined": True}), ("w", {"quarantined": True})):
        ping = group.peer_ping(member)
        assert ping is not None
        before = {name: getattr(ping, name) for name in changes}
        for name, value in changes.items():
            setattr(ping, name, value)
        assert not node.peer_in_sync(), (member, changes)
        for name, value in before.items():
            setattr(ping, name, value)
    assert node.peer_in_sync()


def test_a_replica_shows_how_much_has_come_of_what_it_lacks(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log if that is behind the state, else the state; an active lacks nothing."""
    node, _active = active_of(world)
    passive = world.processes[node.other_replica().replica].node
    assert isinstance(passive, AreaNode)
    for each in (node, passive):
        each.replica.follower.received_bytes = lambda: 700
    monkeypatch.setattr(RaftNode, "received_snapshot_bytes", 9_000)
    assert status(node, tmp_path).received_bytes == 0
    assert status(passive, tmp_path).received_bytes == 700
    passive.replica.state.tick = passive.log.tick + 1
    assert status(passive, tmp_path).received_bytes == 9_000
    passive.replica.state.discard()
    assert status(passive, tmp_path).received_bytes == 700


def test_a_state_that_does_not_fit_the_simulator_is_a_problem_of_the_simulator(world: World, tmp_path: Path) -> None:
    node, _active = active_of(world)
    passive = world.processes[node.other_replica().replica].node
    assert isinstance(passive, AreaNode)
    for each in (node, passive):
        each.replica.follower.misfit = "the active's state does not fit its simulator: x"
    shown = status(passive, tmp_path)
    assert shown.simulator == SimulatorState(
        node.spec.area, SimulatorPhase.REFUSED, 0.0, passive.replica.follower.misfit
    )
    assert shown.problem == passive.replica.follower.misfit
    assert status(node, tmp_path).simulator is None


def test_a_leader_that_fails_before_its_first_tick_is_the_active(world: World, tmp_path: Path) -> None:
    """No other replica goes on in its place, and a pair without an active would say nothing of the cause."""
    poison = world.client.next_id
    world.poison.add(poison)
    world.run(3.0)
    leader = world.leader()
    assert leader is not None
    assert leader.log.tick == leader.replica.state.tick + 1, "it fails in the replay"
    other = world.processes[leader.other_replica().replica].node
    assert isinstance(other, AreaNode)
    assert (status(leader, tmp_path).role, status(other, tmp_path).role) == (Role.ACTIVE, Role.PASSIVE)
    shown = status(leader, tmp_path)
    assert shown.simulator is not None
    assert (shown.simulator.phase, shown.pace, shown.revision) == (SimulatorPhase.PAUSED, 0.0, 1)
    request = leader.request_order(poison)
    world.run(1.0)
    assert isinstance(request.outcome, OrderResult)
    assert status(other, tmp_path).revision == 2
    assert f"command {poison} of tick" in status(leader, tmp_path).order
