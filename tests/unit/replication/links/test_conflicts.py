"""The log names the entities that were refused, and not too often."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import structlog

from pairsim.replication import clock
from pairsim.replication.links.conflicts import PAUSE_SECONDS, ConflictLog


@pytest.fixture
def lines() -> Iterator[list[structlog.typing.EventDict]]:  # type: ignore[misc]
    with structlog.testing.capture_logs() as found:
        yield found  # type: ignore[misc]


def test_refused_entities_are_named_and_repeats_are_counted(
    lines: list[structlog.typing.EventDict], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(clock, "_source", lambda: now)
    log = ConflictLog()
    log.note(np.empty(0, np.int64))
    log.note(np.arange(12))
    log.note(np.array([7]))
    now += PAUSE_SECONDS
    log.note(np.array([8]))
    assert [(line["log_level"], line["ids"], line["refused"]) for line in lines] == [
        ("warning", "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more", 12), ("warning", "8", 2),
    ]  # fmt: skip
