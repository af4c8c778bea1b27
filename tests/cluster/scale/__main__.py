"""The trial as a script: `python -m tests.cluster.scale --areas 100 --areas 1000`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from tests.cluster.scale.trial import REPORT, Trial


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
            trial.run(areas, losses=losses, rounds=rounds, idle=idle)
        finally:
            trial.close()
            trial.write(REPORT)


if __name__ == "__main__":
    main()
