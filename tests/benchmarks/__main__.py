"""`make bench`: everything, with a table at the end and `bench.json`.

BENCH=quick takes a few minutes with fewer measurements; BENCH=full (the default) about an hour.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from tests.benchmarks import (
    borders,
    calm,
    crossings,
    engine,
    etcd,
    load,
    reshard,
    sentences,
    sentinel,
    starved,
    takeover,
    work,
    world,
)
from tests.benchmarks.figures import Figure, report

Part = Callable[[Path], Awaitable[list[Figure]]]


def parts(quick: bool) -> dict[str, Part]:
    """What can be measured, in order."""
    n, seconds, minutes = (12, 4.0, 0.5) if quick else (60, 20.0, 10.0)
    few = max(n // 4, 3)
    return {
        "losses": lambda folder: takeover.losses(folder, n),
        "large-losses": lambda folder: takeover.losses(folder, n, entities=100_000),
        "engine-losses": lambda folder: takeover.engine_losses(folder, n),
        "stops": lambda folder: takeover.stops(folder, max(n // 2, 5)),
        "switchovers": lambda folder: takeover.switchovers(folder, n),
        "etcd": lambda folder: etcd.losses(folder, max(n // 2, 5)),
        "sentinel": lambda folder: sentinel.losses(folder, max(n // 2, 5)),
        "reshard": lambda folder: reshard.reshard(folder / "reshard"),
        "sentences": lambda folder: sentences.sentences(folder, few),
        "session": lambda folder: load.session(folder, seconds),
        "requests": lambda folder: load.requests(folder, seconds),
        "handovers": lambda folder: borders.handovers(folder, seconds, few),
        "streams": lambda folder: borders.streams(folder, seconds),
        "world": lambda folder: world.world(folder, seconds),
        "engine": lambda folder: engine.engine(folder / "engine", seconds, max(n // 2, 5)),
        "overhead": lambda folder: work.overhead(folder, seconds),
        "commits": lambda folder: work.commits(folder, 2 * seconds),
        "million": lambda folder: work.million(folder, 2 * seconds),
        "crowds": lambda folder: work.crowds(folder, seconds),
        "processors": lambda folder: work.processors(folder, 2 * seconds),
        "stream": lambda folder: work.stream(folder, seconds),
        "crossings": lambda folder: crossings.crossings(folder, n),
        "memory": load.memory,
        "holding": lambda folder: calm.holding(folder, minutes),
        "calm": lambda folder: calm.calm(folder, minutes),
        "starved": lambda folder: starved.starved(folder, minutes),
    }


@click.command()
@click.argument("names", nargs=-1)
@click.option("--output", type=click.Path(path_type=Path), default=Path("bench.json"), show_default=True)
def main(names: tuple[str, ...], output: Path) -> None:
    """Runs all parts, or those that are named."""
    available = parts(os.environ.get("BENCH", "full") == "quick")
    unknown = set(names) - available.keys()
    if unknown:
        raise click.UsageError(f"{min(unknown)} is not one of {', '.join(available)}")
    figures: list[Figure] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="pairsim-bench-") as folder:
        for name in names or available:
            click.echo(f"measuring {name} ...")
            try:
                figures += asyncio.run(available[name](Path(folder)))  # type: ignore[arg-type]
            except (AssertionError, TimeoutError) as error:
                failed = True
                click.echo(f"{name} could not be measured: {error}", err=True)
    report(figures, output)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
