"""Hostile messages to all ports of a world break nothing; `python -m tests.process.fuzz` sends more of them."""

from __future__ import annotations

from pathlib import Path

from tests.process.fuzz import fuzz
from tests.process.world.running_worlds import RunningWorld

_MESSAGES, _SEED = 3_000, 7


def test_hostile_messages_cause_no_error_and_end_no_process(tmp_path: Path) -> None:
    world = RunningWorld(tmp_path)
    world.start("--spares", "1")
    try:
        world.wait_for("the world is ready.*")
        report = fuzz(world, _MESSAGES, _SEED)
    finally:
        world.close()
    assert report.messages >= _MESSAGES
    assert {400, 403, 404, 405} <= report.statuses.keys(), "the messages reach the handlers"
    assert (report.statuses.get(500), report.ended, report.errors) == (None, 0, [])
