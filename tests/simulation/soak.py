"""Many seeds, or one again: `python -m tests.simulation.soak --seeds 2000`."""

from __future__ import annotations

import logging
import sys
import time

import click
import structlog

from tests.simulation.faults import run
from tests.simulation.oracle import Violation


@click.command()
@click.option("--first", default=0, show_default=True)
@click.option("--seeds", default=2000, show_default=True)
@click.option("--seconds", default=12.0, show_default=True, help="Of virtual time under faults, a seed.")
def soak(first: int, seeds: int, seconds: float) -> None:
    """Runs seeds until one fails."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    began = time.monotonic()
    takeovers = acknowledged = ticks = 0
    for seed in range(first, first + seeds):
        try:
            world = run(seed, seconds)
        except Violation as violation:
            click.echo(str(violation))
            sys.exit(1)
        takeovers += world.oracle.takeovers
        acknowledged += len(world.oracle.acked)
        ticks += len(world.oracle.records)
    click.echo(
        f"{seeds} seeds in {time.monotonic() - began:.0f} s: {takeovers} takeovers, {ticks} ticks,"
        f" {acknowledged} commands acknowledged; none lost, none doubled, no tick undone, no digest differs"
    )


if __name__ == "__main__":
    soak()
