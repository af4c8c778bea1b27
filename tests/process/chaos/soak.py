"""`make soak SECONDS=...`: random experiments against a world of its own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import click

from tests.harness import ROOT
from tests.process.chaos.worlds import CHAOS, EXPERIMENTS, hurt

LEFT_OUT = {"game-day", "schedule-kill-active"}


@click.command()
@click.option("--seconds", type=float, default=600.0, show_default=True)
@click.option("--seed", type=int, default=None)
def main(seconds: float, seed: int | None) -> None:
    """Ends with the exit code of `pairsim-chaos soak`; what went wrong can be made again with the seed it tells."""
    files = sorted(str(path) for path in EXPERIMENTS.glob("*.yaml") if path.stem not in LEFT_OUT)
    chosen = [] if seed is None else ["--seed", str(seed)]
    with tempfile.TemporaryDirectory(prefix="pairsim-soak-") as folder, hurt(Path(folder), "--isolate") as up:
        command = [*CHAOS, "soak", "--port", up.port, "--seconds", str(seconds), "--calm", "0.5", *chosen, *files]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
    sys.exit(code)


if __name__ == "__main__":
    main()
