"""Many seeds, or one again: `python -m tests.simulation.soak --seeds 2000`."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable

import click
import structlog

from tests.simulation import faults
from tests.simulation.oracle import Violation
from tests.simulation.plane import faults as plane_faults


def run_area(seed: int, seconds: float | None) -> Counter[str]:
    """Runs a seed of one area; returns what happened."""
    oracle = (faults.run(seed) if seconds is None else faults.run(seed, seconds)).oracle
    return Counter(takeovers=oracle.takeovers, ticks=len(oracle.records), commands=len(oracle.acked))


def run_plane(seed: int, seconds: float | None) -> Counter[str]:
    """Runs a seed of several areas; returns what happened."""
    world = plane_faults.run(seed) if seconds is None else plane_faults.run(seed, seconds)
    oracle = world.oracle
    return Counter(
        takeovers=sum(area.takeovers for area in oracle.areas.values()),
        ticks=sum(len(area.records) for area in oracle.areas.values()),
        commands=world.client.applied + world.client.refused,
        crossings=sum(chronicle.newest.borders.counters.sent for chronicle in oracle.chronicles.values()),
        cuts=oracle.cuts,
    )


WORLDS: dict[str, tuple[Callable[[int, float | None], Counter[str]], str]] = {
    "area": (run_area, "no command lost or doubled, no tick undone, no digest differs"),
    "plane": (run_plane, "no entity lost or doubled, no command run twice, every cut a consistent world"),
}


@click.command()
@click.option("--world", type=click.Choice([*WORLDS, "both"]), default="both", show_default=True)
@click.option("--first", default=0, show_default=True)
@click.option("--seeds", default=2000, show_default=True)
@click.option("--seconds", type=float, help="Of virtual time under faults, a seed.  [default: that of the tests]")
def soak(world: str, first: int, seeds: int, seconds: float | None) -> None:
    """Runs seeds until one fails."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for name, (run, held) in WORLDS.items():
        if world not in {name, "both"}:
            continue
        began, happened = time.monotonic(), Counter[str]()
        for seed in range(first, first + seeds):
            try:
                happened += run(seed, seconds)
            except Violation as violation:
                click.echo(str(violation))
                sys.exit(1)
        what = ", ".join(f"{count} {noun}" for noun, count in happened.items())
        click.echo(f"{name}: {seeds} seeds in {time.monotonic() - began:.0f} s: {what}; {held}")


if __name__ == "__main__":
    soak()
