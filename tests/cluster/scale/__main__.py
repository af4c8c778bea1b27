"""The trial as a script: `python -m tests.cluster.scale --areas 100 --areas 1000`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from tests.benchmarks.figures import report
from tests.cluster.scale.trial import Trial

REPORT = Path(os.environ.get("PAIRSIM_SCALE_REPORT", Path(tempfile.gettempdir()) / "pairsim-scale.json"))


@click.command()
@click.option("--areas", type=int, multiple=True, default=(100, 1000), show_default=True, help="Grow to so many.")
@click.option("--losses", default=100, show_default=True, help="Actives lost at once.")
@click.option("--rounds", default=3, show_default=True, help="Of losses.")
@click.option("--idle", default=60.0, show_default=True, help="Seconds.")
@click.option("--witnesses", default=2, show_default=True)
def main(areas: tuple[int, ...], losses: int, rounds: int, idle: float, witnesses: int) -> None:
    """Runs it, and prints a table."""
    with tempfile.TemporaryDirectory(prefix="pairsim-scale-") as folder:
        trial = Trial(Path(folder), witnesses)
        try:
            trial.open(2 * max(areas) + losses)
            for count in areas:
                trial.grow(count, 2 * count + losses)
                trial.idle(idle)
            for _ in range(rounds):
                trial.lose(losses)
        finally:
            trial.close()
            report(trial.figures, REPORT)


if __name__ == "__main__":
    main()
