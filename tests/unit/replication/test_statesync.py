"""Whom the active counts as its subscribers, and how far they are."""

from __future__ import annotations

import pytest

from pairsim.replication.measurements import ReplicaMeasurements
from pairsim.replication.sync.messages import KEYFRAME, Ack, ToSubscriber
from pairsim.replication.sync.publisher import Packed, StatePublisher
from tests.unit.replication.tables import SCHEMA


class Nowhere:
    """An outlet that leads nowhere."""

    def offer(self, message: ToSubscriber, body: Packed | None) -> None: ...


@pytest.fixture
def publisher() -> StatePublisher:
    return StatePublisher(SCHEMA, ReplicaMeasurements())


def test_a_subscriber_that_leaves_late_does_not_take_its_successor_along(publisher: StatePublisher) -> None:
    first, second = publisher.join("b", Nowhere()), publisher.join("b", Nowhere())
    publisher.leave(first)
    publisher.on_message(second, Ack(7, 5))
    assert publisher.acked("b") == 7
    assert publisher.durables() == {"b": 5}


def test_what_was_acknowledged_to_a_leadership_that_is_over_does_not_count(publisher: StatePublisher) -> None:
    publisher.on_message(publisher.join("b", Nowhere()), Ack(7, 5))
    publisher.forget()
    assert publisher.acked("b") == KEYFRAME
