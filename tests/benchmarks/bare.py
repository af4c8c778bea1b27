"""An area without pairsim: the same step at the same pace in a process of its own. What ticks cost at least."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import click
import msgspec

from pairsim.model.area import AreaSpec
from pairsim.model.simulation.simulator import load_simulator
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table


async def bare_ticks(spec: AreaSpec, seconds: float) -> list[float]:
    """Milliseconds of bare ticks."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.bare", str(seconds), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(msgspec.json.encode(spec)), seconds + 60)
    return msgspec.json.decode(output, type=list[float])


def _run(spec: AreaSpec, seconds: float) -> list[float]:
    simulator = load_simulator(spec.simulator)(spec)
    simulator.prepare()
    table = Table(simulator.components)
    populate_initial(simulator, table, spec)
    step = 1 / spec.tick_rate
    warm, ticks = round(2 * spec.tick_rate), round(seconds * spec.tick_rate)
    spent = []
    due = time.perf_counter()
    for tick in range(1, warm + ticks + 1):
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        advance(simulator, table, [], tick, spec)
        if tick > warm:
            spent.append((time.perf_counter() - began) * 1e3)
        due += step
    return spent


@click.command()
@click.argument("seconds", type=float)
def main(seconds: float) -> None:
    """Runs the area that standard input holds as JSON, and prints the milliseconds of its ticks."""
    spent = _run(msgspec.json.decode(sys.stdin.buffer.read(), type=AreaSpec), seconds)
    click.echo(msgspec.json.encode(spent))


if __name__ == "__main__":
    main()
