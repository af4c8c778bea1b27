"""The controller with a thousand areas, on a real API server. Figures are reported; what must be true is asserted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.cluster.native.tools import ETCD, KUBERNETES
from tests.cluster.report import Report
from tests.cluster.scale.trial import REPORT, Trial

pytestmark = pytest.mark.cluster

_SIZES = tuple(int(word) for word in os.environ.get("PAIRSIM_SCALE_AREAS", "100,1000").split(","))
_IDLE_SECONDS = float(os.environ.get("PAIRSIM_SCALE_IDLE", "60"))


def _missing() -> str:
    if shutil.which("setpriv") is None:
        return "setpriv is missing; install it with: apt-get install --no-install-recommends util-linux"
    if shutil.which("go") is None and not all(module.bin.exists() for module in (KUBERNETES, ETCD)):
        return "Go 1.25 or later is not installed; the API server is built with it"
    return ""


def test_labels_follow_a_hundred_losses_at_once_and_are_never_two(tmp_path: Path, report: Report) -> None:
    if said := _missing():
        pytest.skip(said)
    trial = Trial(tmp_path, witnesses=2)
    try:
        trial.run(_SIZES, losses=min(100, *_SIZES), rounds=3, idle=_IDLE_SECONDS)
    finally:
        trial.close()
        trial.write(REPORT)
        report.take(trial.figures)
