"""A thread that must not preempt others."""

from __future__ import annotations

import os
import threading

import pytest

from pairsim.replication.scheduling import never_preempt


def test_only_the_calling_thread_changes() -> None:
    found: list[int] = []

    def look() -> None:
        never_preempt()
        found.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [os.SCHED_BATCH]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_system_that_forbids_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    never_preempt()
