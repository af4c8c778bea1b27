"""Grants of authority are inputs of the active's ticks."""

from __future__ import annotations

from pairsim.model.authority import Authority, Cell
from pairsim.model.borders.codec import decode_inputs
from tests.simulation.area import SPEC
from tests.unit.replication.replica.replicas import NOW, LoneReplica


def grant(version: int) -> Authority:
    return Authority(area=SPEC.area, version=version, cells=(Cell(number=1, area=SPEC.area, bounds=SPEC.bounds),))


def grants(lone: LoneReplica) -> list[tuple[Authority, ...]]:
    """Returns the grants in each record."""
    return [
        decode_inputs(record.inputs, lone.state.table.schema).grants if record.inputs else ()
        for record in lone.records()
    ]


def test_a_grant_is_in_the_record_of_the_next_tick_alone() -> None:
    lone = LoneReplica()
    active = lone.lead()
    lone.replica.links.grants.put(grant(3))
    active.run_once(NOW + 1.0)
    active.run_once(NOW + 2.0)
    assert grants(lone) == [(grant(3),), ()]
    assert lone.state.authority(2) == grant(3)


def test_of_several_grants_the_newest_counts() -> None:
    lone = LoneReplica()
    active = lone.lead()
    for version in (3, 5, 4):
        lone.replica.links.grants.put(grant(version))
    active.run_once(NOW + 1.0)
    assert grants(lone) == [(grant(5),)]


def test_a_grant_that_is_in_force_takes_no_room_in_a_record() -> None:
    lone = LoneReplica()
    active = lone.lead()
    lone.replica.links.grants.put(lone.state.authority(0))
    active.run_once(NOW + 1.0)
    assert [record.inputs for record in lone.records()] == [b""]


def test_a_grant_does_not_wait_for_another_leadership() -> None:
    lone = LoneReplica()
    lone.lead()
    lone.replica.links.grants.put(grant(3))
    lone.replica.on_leadership_lost()
    lone.replica.run_once(NOW + 1.0)
    lone.lead(2).run_once(NOW + 2.0)
    assert grants(lone) == [()]
