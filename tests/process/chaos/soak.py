"""`make soak SECONDS=...` runs random experiments against a new world."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests.harness import ROOT
from tests.process.chaos.worlds import CHAOS, EXPERIMENTS, running_world

LEFT_OUT = {"game-day", "schedule-kill-active"}


@click.command()
@click.option("--seconds", type=float, default=600.0, show_default=True)
@click.option("--seed", type=int, default=None)
def main(seconds: float, seed: int | None) -> None:
    """Ends with the exit code of `pairsim-chaos soak`; a failure can be repeated with the seed that it prints."""
    files = sorted(str(path) for path in EXPERIMENTS.glob("*.yaml") if path.stem not in LEFT_OUT)
    chosen = [] if seed is None else ["--seed", str(seed)]
    with (
        tempfile.TemporaryDirectory(prefix="pairsim-soak-") as folder,
        running_world(Path(folder), "--isolate") as world,
    ):
        command = [*CHAOS, "soak", "--port", world.port, "--seconds", str(seconds), "--calm", "0.5", *chosen, *files]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
    sys.exit(code)


if __name__ == "__main__":
    main()
