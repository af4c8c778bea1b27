"""The status of a witness process."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

from pairsim.replication.process.witness import WitnessProcess
from pairsim.settings import Timing
from tests.harness import spec
from tests.unit.replication.process.processes import settings, witness_assignment

TIMEOUT_SECONDS = 10.0


def test_a_new_witness_does_not_vote_and_reports_at_once_when_it_does(tmp_path: Path) -> None:
    process = WitnessProcess(settings("w", tmp_path, Timing(ping=3600.0)))
    reported: queue.Queue[list[bool]] = queue.Queue()

    def listen() -> None:
        if threading.current_thread().name == "raft-area":
            reported.put([group.votes for group in process.status().areas])

    try:
        process.watch(listen)
        process.assign(witness_assignment(process, spec(entities=2)))
        assert [group.votes for group in process.status().areas] == [False]
        assert reported.get(timeout=TIMEOUT_SECONDS) != [True]
        membership = process._areas["area"].node.membership
        membership.group._quarantine.active = False
        membership.wake()
        assert reported.get(timeout=TIMEOUT_SECONDS) == [True]
    finally:
        process.close()
