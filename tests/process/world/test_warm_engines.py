"""Spares of a world whose plane says `warmEngines: true`."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import msgspec

from pairsim.model.status import ReplicaStatus
from tests.process.world.running_worlds import WORLD, RunningWorld, until


def replica_status(url: str) -> ReplicaStatus:
    with urllib.request.urlopen(f"{url}/v1/status", timeout=20) as answer:  # noqa: S310 - a process of the test's own world
        return msgspec.json.decode(answer.read(), type=ReplicaStatus)


def test_a_spare_takes_the_place_of_a_lost_replica_with_its_warm_engine(tmp_path: Path) -> None:
    world = RunningWorld(tmp_path)
    world.file.write_text(WORLD.replace("tickRate: 30", "tickRate: 30\n  warmEngines: true"))
    try:
        world.start()
        world.wait_for(r"the world is ready: .*")
        [spare] = world.wait_until_redundant().spares
        pid = until(lambda: replica_status(spare.url).engine_pid, "the spare has a warm engine", world.messages)
        assert "--warm" in Path(f"/proc/{pid}/cmdline").read_text()
        world.run("kill", "west", "--role", "active")
        until(lambda: replica_status(spare.url).area == "west", "the spare has joined", world.messages)
        world.wait_until_redundant()
        assert replica_status(spare.url).engine_pid == pid
    finally:
        world.close()
