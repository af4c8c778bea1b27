"""Whoever leaves does not wait for threads that sleep."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pairsim.model.assignment import Assignment, Member
from pairsim.replication.process.simulator import SimulatorProcess
from pairsim.replication.process.witness import WitnessProcess
from pairsim.settings import Timing
from tests.harness import spec
from tests.unit.replication.processes import assignment, settings

SLEEPY = Timing(ping=3600.0)
"""The peers are nowhere: nothing but a ping is ever due."""


def rafts() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("raft")}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a thread: one that is still there has not been woken."""
    for module in ("area_runtime", "witness"):
        monkeypatch.setattr(f"pairsim.replication.process.{module}._JOIN", 1.0)


def test_a_replica(tmp_path: Path) -> None:
    before = rafts()
    one = SimulatorProcess(settings("a", tmp_path, SLEEPY))
    one.assign(assignment(one, spec(entities=2)))
    assert rafts() - before
    one.close()
    assert rafts() == before


def test_a_witness_with_many_areas(tmp_path: Path) -> None:
    before = rafts()
    one = WitnessProcess(settings("w", tmp_path, SLEEPY))
    first, second = (Member(replica=f"r{port}", peer=f"127.0.0.1:{port}", url="http://x") for port in (1, 2))
    me = Member(replica="w", peer=one.settings.peer, url="http://x")
    for number in range(5):
        area = spec(entities=2, area=f"area-{number}")
        one.assign(Assignment(spec=area, generation=1, replicas=(first, second), witness=me))
    assert len(rafts() - before) == 5
    one.close()
    assert rafts() == before
