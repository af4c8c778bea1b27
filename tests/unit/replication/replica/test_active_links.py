"""What arrives from other areas is an input of the active's ticks, and what it sends is posted when it is committed."""

from __future__ import annotations

import numpy as np
import pytest
import structlog

from pairsim.model.authority import Authority, Cell
from pairsim.model.borders import Arrival, Bundle, LinkMessage
from pairsim.model.borders.codec import decode_inputs
from pairsim.model.geometry import Box
from pairsim.replication.links.arrivals import Admission
from tests.simulation.area import SPEC
from tests.unit.replication.replica.replicas import NOW, LoneReplica

FAR = Cell(number=2, area="far", bounds=Box((1e6, 0.0, 0.0), (2e6, 1.0, 1.0)))


def arriving(*entities: int) -> LinkMessage:
    ids = np.array(entities, np.int64)
    columns = {"value": np.zeros(len(ids), np.int64), "noise": np.zeros(len(ids), np.float32)}
    return LinkMessage(Bundle(ids, columns, np.ones(len(ids), np.int64), version=1), clock=5, taken=0)


@pytest.fixture
def lone() -> LoneReplica:
    return LoneReplica()


def test_an_arrival_is_in_the_record_of_the_next_tick_alone(lone: LoneReplica) -> None:
    active = lone.lead()
    assert lone.replica.links.arrivals.put(2, 1, arriving(100, 101), 50) is Admission.ADMITTED
    active.run_once(NOW + 1.0)
    active.run_once(NOW + 2.0)
    first, second = lone.records()
    (arrival,) = decode_inputs(first.inputs, lone.state.table.schema).arrivals
    assert (arrival.area, arrival.sequence) == (2, 1)
    assert not second.inputs
    assert {100, 101} <= set(lone.state.table.ids.tolist())


def test_what_was_taken_is_acknowledged_when_it_is_committed(lone: LoneReplica) -> None:
    active, links = lone.lead(), lone.replica.links
    links.arrivals.put(2, 1, arriving(100), 50)
    active.run_once(NOW + 1.0)
    assert links.board.posted.acknowledgement(2).taken == 0
    lone.commit()
    lone.replica.run_once(NOW + 1.0)
    assert links.board.posted.acknowledgement(2).taken == 1
    assert links.board.posted.term == 1


def test_a_passive_posts_nothing_and_takes_nothing(lone: LoneReplica) -> None:
    links = lone.replica.links
    lone.replica.run_once(NOW)
    assert links.board.posted.term == 0
    assert links.arrivals.put(2, 1, arriving(100), 50) is Admission.REFUSED
    lone.lead().run_once(NOW + 1.0)
    lone.commit()
    lone.replica.run_once(NOW + 1.0)
    assert links.board.posted.term == 1
    lone.replica.on_leadership_lost()
    lone.replica.run_once(NOW + 2.0)
    assert links.board.posted.term == 0
    assert links.arrivals.put(2, 1, arriving(100), 50) is Admission.REFUSED


def test_a_new_leadership_posts_what_it_took_over_before_its_first_tick(lone: LoneReplica) -> None:
    lone.lead()
    assert lone.replica.links.board.posted.term == 1


def test_the_posted_links_bring_the_map_that_is_in_force(lone: LoneReplica) -> None:
    active, links = lone.lead(), lone.replica.links
    own = Cell(number=1, area=SPEC.area, bounds=SPEC.bounds)
    links.grants.put(Authority(area=SPEC.area, version=4, cells=(own, FAR)))
    active.run_once(NOW + 1.0)
    assert links.board.posted.map.version == 0
    lone.commit()
    lone.replica.run_once(NOW + 1.0)
    assert (links.board.posted.number, links.board.posted.map.cells) == (1, (own, FAR))


def test_an_arrival_waits_while_there_is_no_room(lone: LoneReplica) -> None:
    room = len(lone.state.table) + 1
    lone.replica.links._room = lambda: room
    active = lone.lead()
    lone.replica.links.arrivals.put(2, 1, arriving(100, 101), 50)
    active.run_once(NOW + 1.0)
    assert 100 not in lone.state.table.ids
    room += 1
    active.run_once(NOW + 2.0)
    assert 100 in lone.state.table.ids
    assert [
        isinstance(a, Arrival)
        for r in lone.records()
        for a in decode_inputs(r.inputs, lone.state.table.schema).arrivals
    ] == [True, True]


def test_an_arrival_whose_id_is_taken_is_named_in_the_log(lone: LoneReplica) -> None:
    active, links = lone.lead(), lone.replica.links
    taken = int(lone.state.table.ids[0])
    links.arrivals.put(2, 1, arriving(taken, 999), 50)
    with structlog.testing.capture_logs() as lines:
        active.run_once(NOW + 1.0)
    (line,) = [line for line in lines if "ids are taken" in line["event"]]
    assert (line["ids"], line["refused"]) == (str(taken), 1)


def test_what_arrived_and_what_waits_is_in_the_status_of_the_active(lone: LoneReplica) -> None:
    active, links = lone.lead(), lone.replica.links
    born = len(lone.state.table)
    links.arrivals.put(2, 1, arriving(100, 101), 50)
    for turn in (1.0, 2.0):
        active.run_once(NOW + turn)
        lone.commit()
        lone.replica.run_once(NOW + turn)
    report = links.status(lone.replica.log.tick)
    assert report is not None
    assert (report.born, report.taken, report.neighbours[0].taken) == (born, 2, 2)
    lone.replica.on_leadership_lost()
    assert links.status(lone.replica.log.tick) is None
