"""What a witness says of itself."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

from pairsim.model.assignment import Assignment, Member
from pairsim.replication.process.witness import WitnessProcess
from pairsim.settings import Timing
from tests.harness import spec
from tests.unit.replication.processes import settings

PATIENCE = 10.0
"""How long a test waits for what must happen, in seconds."""


def test_a_new_witness_does_not_vote_and_tells_at_once_when_it_does(tmp_path: Path) -> None:
    one = WitnessProcess(settings("w", tmp_path, Timing(ping=3600.0)))
    first, second = (Member(replica=f"r{port}", peer=f"127.0.0.1:{port}", url="http://x") for port in (1, 2))
    me = Member(replica="w", peer=one.settings.peer, url="http://x")
    said: queue.Queue[list[bool]] = queue.Queue()

    def listen() -> None:
        if threading.current_thread().name == "raft-area":
            said.put([group.votes for group in one.status().areas])

    try:
        one.watch(listen)
        one.assign(Assignment(spec=spec(entities=2), generation=1, replicas=(first, second), witness=me))
        assert [group.votes for group in one.status().areas] == [False]
        assert said.get(timeout=PATIENCE) != [True]
        membership = one._areas["area"].membership
        membership.group._quarantine.active = False
        membership.wake()
        assert said.get(timeout=PATIENCE) == [True]
    finally:
        one.close()
