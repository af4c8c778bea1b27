"""`make bench`: everything, with a table at the end and `bench.json`.

BENCH=quick takes a few minutes with fewer measurements; BENCH=full (the default) about half an hour.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from tests.benchmarks import engine, etcd, load, sentinel, starved, takeover
from tests.benchmarks.figures import Figure, report

Part = Callable[[Path], Awaitable[list[Figure]]]


def parts(quick: bool) -> dict[str, Part]:
    """What can be measured, in order."""
    n, seconds, minutes = (12, 4.0, 0.5) if quick else (60, 10.0, 10.0)
    return {
        "losses": lambda folder: takeover.losses(folder, n),
        "switchovers": lambda folder: takeover.switchovers(folder, n),
        "etcd": lambda folder: etcd.losses(folder, max(n // 2, 5)),
        "sentinel": lambda folder: sentinel.losses(folder, max(n // 2, 5)),
        "commands": lambda folder: load.commands(folder, seconds),
        "engine": lambda folder: engine.engine(folder / "engine", seconds, max(n // 2, 5)),
        "ticks": lambda folder: load.ticks(folder, seconds),
        "capacity": lambda folder: load.capacity(folder, seconds),
        "memory": load.memory,
        "calm": lambda folder: load.calm(folder, minutes),
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
        raise click.UsageError(f"{min(unknown)} is none of {', '.join(available)}")
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
