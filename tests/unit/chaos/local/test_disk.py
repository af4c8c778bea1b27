"""The tracer of a disk fault, with a program in place of strace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pairsim_chaos.experiment.faults import IOFault
from pairsim_chaos.experiment.loader import load_experiments
from pairsim_chaos.local.disk import DiskInjection
from pairsim_chaos.local.selection import TargetProcess
from pairsim_chaos.target import WorldError

FILE = Path(__file__).parents[4] / "chaos" / "experiments" / "io-fault-journal.yaml"


@pytest.fixture
def injection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskInjection:
    """An injection into this process; `strace` is the file in `tmp_path`."""
    (tmp_path / "area.journal").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    target = TargetProcess(
        process="sim-1", kind="simulator", area="", plane="", role="", pid=os.getpid(), url="", peer="",
        folder=str(tmp_path), network="",
    )  # fmt: skip
    (experiment,) = load_experiments(FILE.read_text())
    assert isinstance(experiment.spec, IOFault)
    return DiskInjection(experiment.spec, [target])


def strace(folder: Path, script: str) -> None:
    path = folder / "strace"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


async def test_a_fault_may_end_its_target_before_the_tracer_was_seen(injection: DiskInjection, tmp_path: Path) -> None:
    strace(tmp_path, "exit 0")
    await injection.apply()


async def test_a_tracer_that_fails_is_reported_with_its_error(injection: DiskInjection, tmp_path: Path) -> None:
    strace(tmp_path, "echo 'attach: Operation not permitted' >&2; exit 1")
    with pytest.raises(WorldError, match=r"^sim-1 cannot be traced: attach: Operation not permitted$"):
        await injection.apply()
