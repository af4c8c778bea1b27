"""The publisher knows its subscribers and how far each of them is."""

from __future__ import annotations

import pytest

from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.sync.messages import KEYFRAME, Ack, ToSubscriber
from pairsim.replication.sync.publisher import PackedFrame, StatePublisher
from tests.unit.replication.tables import SCHEMA


class NullOutlet:
    """An outlet that drops all messages."""

    def offer(self, message: ToSubscriber, body: PackedFrame | None) -> None: ...


@pytest.fixture
def publisher() -> StatePublisher:
    return StatePublisher(SCHEMA, ReplicaMeasurements())


def test_a_late_leave_does_not_remove_the_replacement(publisher: StatePublisher) -> None:
    first, second = publisher.join("b", NullOutlet()), publisher.join("b", NullOutlet())
    publisher.leave(first)
    publisher.on_message(second, Ack(7, 5))
    assert publisher.acked("b") == 7
    assert publisher.durable_ticks() == {"b": 5}


def test_acknowledgements_of_an_ended_leadership_do_not_count(publisher: StatePublisher) -> None:
    publisher.on_message(publisher.join("b", NullOutlet()), Ack(7, 5))
    publisher.reset()
    assert publisher.acked("b") == KEYFRAME
