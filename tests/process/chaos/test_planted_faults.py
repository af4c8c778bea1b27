"""The verdict must be able to fail: experiments find faults that are planted into pairsim itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault_planting import PLANT_ON_IMPORT
from tests.harness import ROOT
from tests.process.chaos.attacked_worlds import EXPERIMENTS, LAGS_AND_TAKES_OVER, attacked_world, failed, reasons, run

pytestmark = pytest.mark.root

ACKNOWLEDGES_BEFORE_COMMIT = """
MODULE = "pairsim.replication.replica.in_flight"
def plant(in_flight):
    computed = in_flight.InFlight.on_computed
    def early(self, tick, after, term):
        self._committed = tick
        computed(self, tick, after, term)
    in_flight.InFlight.on_computed = early
"""
STEPS_DIFFERENTLY_IN_EVERY_PROCESS = """
import os
from pairsim.simulators.physics import Physics
class Uneven(Physics):
    def step(self, table, batch, tick, rng):
        super().step(table, batch, tick, rng)
        table.column("velocity")[0] += os.getpid() % 97 * 1e-3
"""
LETS_THE_OLD_ACTIVE_GO_ON = """
MODULE = "pairsim.server.app"
def plant(api):
    import msgspec
    from pairsim.replication.process.simulator import SimulatorProcess
    status = SimulatorProcess.status
    def boasting(self):
        found = status(self)
        lying = found.role == "passive" and found.generation > 1
        return msgspec.structs.replace(found, role="active") if lying else found
    SimulatorProcess.status = boasting
"""


def test_an_acknowledgement_before_the_commit_is_found(tmp_path: Path) -> None:
    with attacked_world(tmp_path, "--isolate", planted=ACKNOWLEDGES_BEFORE_COMMIT + PLANT_ON_IMPORT) as up:
        code, verdicts, output = run(up, "--max-duration", "3", str(EXPERIMENTS / "partition-active-all.yaml"))
        assert code == 1, output
        assert "no acknowledged command is lost" in failed(verdicts)


def test_a_nondeterministic_step_is_found_in_the_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same experiment holds with a deterministic step: see test_experiments.py."""
    (tmp_path / "uneven.py").write_text(STEPS_DIFFERENTLY_IN_EVERY_PROCESS)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    file = tmp_path / "lag-and-kill.yaml"
    file.write_text(LAGS_AND_TAKES_OVER)
    with attacked_world(tmp_path, "--isolate", simulator="uneven:Uneven") as up:
        code, verdicts, output = run(up, str(file))
        assert code == 1, (reasons(verdicts), output)
        assert "replicas agree bit for bit" in failed(verdicts)


def test_a_false_claim_to_be_active_is_found(tmp_path: Path) -> None:
    with attacked_world(tmp_path, planted=LETS_THE_OLD_ACTIVE_GO_ON + PLANT_ON_IMPORT) as up:
        code, verdicts, output = run(up, "--recovery-timeout", "3", str(EXPERIMENTS / "kill-passive.yaml"))
        assert code == 1, output
        assert "one active in a term" in failed(verdicts)
