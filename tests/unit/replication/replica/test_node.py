"""What an area's node knows of its pair, and which requests it takes."""

from __future__ import annotations

import pytest

from pairsim.model.authority import Authority, Cell
from pairsim.replication.log.records import Record
from pairsim.replication.replica.node import AreaNode
from pairsim.replication.service import NotActiveError, RefusedError
from tests.simulation.area import SPEC
from tests.simulation.conftest import virtual_time  # noqa: F401 - the fixture puts the clock back
from tests.simulation.world import World
from tests.unit.replication.replica.test_handover_request import active_of


@pytest.fixture
def world() -> World:
    world = World(4)
    world.settle(lambda: None)
    return world


def pair_of(world: World) -> tuple[AreaNode, AreaNode]:
    """Returns the nodes of the active and of the passive."""
    node, _active = active_of(world)
    passive = world.processes[node.other_replica().replica].node
    assert isinstance(passive, AreaNode)
    return node, passive


def grant(version: int, number: int = 1) -> Authority:
    return Authority(area=SPEC.area, version=version, cells=(Cell(number=number, area=SPEC.area, bounds=SPEC.bounds),))


def in_force(node: AreaNode) -> Authority:
    return node.replica.state.authority(node.log.tick)


def test_both_replicas_know_the_active(world: World) -> None:
    node, passive = pair_of(world)
    assert node.leader() == passive.leader() == passive.other_replica()


def test_an_active_whose_link_is_lost_is_not_known_to_be_the_active(world: World) -> None:
    """A batch that is relayed to it would wait for its time to be over."""
    _node, passive = pair_of(world)
    leader = passive.leader()
    assert leader is not None
    passive.membership.group.links -= {leader.replica}
    assert passive.leader() is None


def test_a_witness_that_leads_is_not_the_active(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _node, passive = pair_of(world)
    monkeypatch.setattr(type(passive.membership.group), "leader", "w")
    assert "w" in passive.membership.group.links
    assert passive.leader() is None


def test_the_witness_has_no_checkpoint_to_wait_for(world: World) -> None:
    node, _passive = pair_of(world)
    assert "w" in node.membership.group.links
    assert node.linked_replicas() == {node.other_replica().replica}


def test_only_a_passive_follows_the_state_of_its_peer(world: World) -> None:
    node, passive = pair_of(world)
    assert node.stream_source() is None
    other = passive.other_replica()
    assert passive.stream_source() == (other.replica, other.peer, 1)


def test_a_passive_takes_neither_switchovers_nor_grants_and_names_the_active(world: World) -> None:
    node, passive = pair_of(world)
    for request in (lambda: passive.request_switchover(world.clock.now + 1.0), lambda: passive.submit_grant(grant(2))):
        with pytest.raises(NotActiveError) as caught:
            request()
        assert caught.value.leader == node.leader()


def test_a_switchover_to_a_passive_that_is_not_in_sync_is_refused(world: World) -> None:
    node, passive = pair_of(world)
    ping = node.membership.group.peer_ping(passive._me)
    assert ping is not None
    ping.capable = False
    with pytest.raises(RefusedError, match="is not in sync: wait until the area is redundant"):
        node.request_switchover(world.clock.now + 1.0)
    assert node.replica.active is not None
    assert node.replica.active.handover is None


def test_a_grant_is_in_force_on_both_replicas_and_an_earlier_one_is_refused(world: World) -> None:
    node, passive = pair_of(world)
    node.submit_grant(grant(5))
    world.run(0.3)
    assert in_force(node) == in_force(passive) == grant(5)
    with pytest.raises(RefusedError, match="version 4 of the map is over: version 5 is in force"):
        node.submit_grant(grant(4))


def test_a_grant_that_is_known_is_accepted_without_a_record_and_another_one_of_its_version_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, _passive = pair_of(world)
    node.submit_grant(grant(5))
    world.run(0.3)
    records: list[Record] = []
    monkeypatch.setattr(node, "submit", lambda _term, record: records.append(record))
    node.submit_grant(grant(5))
    assert records == []
    with pytest.raises(RefusedError, match="version 5 of the map is in force with other cells"):
        node.submit_grant(grant(5, number=2))


def test_an_area_begins_with_version_0_and_the_box_of_its_document(world: World) -> None:
    node, _passive = pair_of(world)
    assert (in_force(node).version, in_force(node).number) == (0, 0)
    assert in_force(node).bounds(SPEC.bounds) == SPEC.bounds


def test_the_next_generation_waits_for_its_newcomer_or_else_for_the_passive(world: World) -> None:
    node, active = active_of(world)
    other = node.other_replica().replica
    node.advance_to(world.generation(2, ("a", "b"), ("s1",), "s1"))
    assert active.handover is not None
    assert active.handover.peer == other
    active.handover = None
    node.advance_to(world.generation(2, (node._me, "s1"), ("s1",)))
    assert active.handover is not None
    assert active.handover.peer == "s1"


def test_a_passive_does_not_open_the_next_generation(world: World) -> None:
    node, passive = pair_of(world)
    passive.advance_to(world.generation(2, ("a", "s1"), ("s1",)))
    world.run(0.5)
    assert node.membership.assignment.generation == passive.membership.assignment.generation == 1
