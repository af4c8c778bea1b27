"""A process that closes does not wait for threads that sleep."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pairsim.replication.process.witness import WitnessProcess
from pairsim.settings import Timing
from tests.harness import spec
from tests.unit.replication.process.processes import assignment, make_simulator, settings, witness_assignment

RARE_PINGS = Timing(ping=3600.0)
"""The peers do not exist: only a ping is ever due."""


def raft_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("raft")}


@pytest.fixture(autouse=True)
def _short_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that was not woken is still there after the join."""
    for module in ("area_runtime", "raft_loop"):
        monkeypatch.setattr(f"pairsim.replication.process.{module}.JOIN_SECONDS", 1.0)


def test_a_replica(tmp_path: Path) -> None:
    before = raft_threads()
    process = make_simulator(settings("a", tmp_path, RARE_PINGS))
    process.assign(assignment(process, spec(entities=2)))
    assert raft_threads() - before
    process.close()
    assert raft_threads() == before


def test_a_witness_with_many_areas(tmp_path: Path) -> None:
    before = raft_threads()
    process = WitnessProcess(settings("w", tmp_path, RARE_PINGS))
    for number in range(5):
        process.assign(witness_assignment(process, spec(entities=2, area=f"area-{number}")))
    assert len(raft_threads() - before) == 5
    process.close()
    assert raft_threads() == before
