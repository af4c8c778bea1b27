from __future__ import annotations

import pytest

from pairsim.replication.replica.first_tick import LOOK_SECONDS, FirstTick
from tests.unit.replication.replica.replicas import NOW, LoneReplica, add
from tests.unit.replication.replica.test_in_flight import Answers


def test_without_commands_the_tick_waits_for_them() -> None:
    first = FirstTick(NOW)
    for looks in range(5):
        assert first.due(NOW + looks * LOOK_SECONDS, 0) == pytest.approx(NOW + 0.006)


def test_the_tick_begins_when_the_last_command_has_come() -> None:
    first = FirstTick(NOW)
    assert first.due(NOW + 0.0034, 0) == pytest.approx(NOW + 0.006)
    assert first.due(NOW + 0.0038, 3) == pytest.approx(NOW + 0.0043)
    assert first.due(NOW + 0.0040, 5) == pytest.approx(NOW + 0.0045)
    assert first.due(NOW + 0.0045, 5) == pytest.approx(NOW + 0.0045)


def test_commands_that_come_and_come_do_not_put_it_off() -> None:
    first = FirstTick(NOW)
    for looks in range(1, 9):
        due = first.due(NOW + looks * 0.0004, looks)
    assert due == pytest.approx(NOW + 0.0019)


def test_a_late_command_does_not_put_it_off() -> None:
    first = FirstTick(NOW)
    assert first.due(NOW + 0.0058, 1) == pytest.approx(NOW + 0.006)


def test_the_first_tick_of_an_active_has_the_commands_that_waited() -> None:
    lone, answers = LoneReplica(), Answers()
    lone.lead()
    assert lone.replica.run_once(NOW + 0.0004) <= NOW + 0.0004 + LOOK_SECONDS, "it looks for commands"
    lone.inbox.put([add("x")], answers)
    for seconds in (0.0008, 0.0012):
        assert lone.replica.run_once(NOW + seconds) <= NOW + seconds + LOOK_SECONDS
        assert lone.records() == []
    due = lone.replica.run_once(NOW + 0.00131)
    assert [command.id for command in lone.records()[0].commands] == ["x"]
    assert due == pytest.approx(NOW + 0.0013 + 1 / lone.replica.spec.tick_rate), "the next one comes at its time"
