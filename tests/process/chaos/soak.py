"""Runs random experiments against a new local world: `make soak SECONDS=...`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests.harness import ROOT
from tests.process.chaos.attacked_worlds import CHAOS, EXPERIMENTS, attacked_world

SKIPPED = {"game-day", "schedule-kill-active"}


@click.command()
@click.option("--seconds", type=float, default=600.0, show_default=True)
@click.option("--seed", type=int, default=None)
def main(seconds: float, seed: int | None) -> None:
    """Run a soak and end with its exit code; a failure can be repeated with the printed seed."""
    files = sorted(str(path) for path in EXPERIMENTS.glob("*.yaml") if path.stem not in SKIPPED)
    chosen = [] if seed is None else ["--seed", str(seed)]
    with tempfile.TemporaryDirectory(prefix="pairsim-soak-") as folder, attacked_world(Path(folder), "--isolate") as up:
        command = [*CHAOS, "soak", "--port", up.port, "--seconds", str(seconds), "--warm-up", "0.5", *chosen, *files]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
    sys.exit(code)


if __name__ == "__main__":
    main()
