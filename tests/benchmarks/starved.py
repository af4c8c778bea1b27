"""Takeovers that nobody caused, on a machine that is busy with many other processes."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from pairsim.client import AreaClient, ClientError
from tests.benchmarks.figures import Figure, single
from tests.harness import DIE_WITH_PARENT, TOKEN, RunningPair, impulses, some_entity, spec

PROCESSES, LOOPS = 20, 2
"""How many other processes there are, and how many endless loops each of them runs."""

_CAUSE = re.compile(r"event='became active'.*succession='([^']+)")


@contextlib.contextmanager
def busy_processes(processes: int = PROCESSES, loops: int = LOOPS) -> Iterator[None]:
    """Keeps cores busy, with a load of `processes * loops`."""
    loop = "while :; do :; done"
    started = [
        subprocess.Popen([*DIE_WITH_PARENT, "sh", "-c", " & ".join([loop] * loops)], start_new_session=False)
        for _ in range(processes)
    ]
    try:
        yield
    finally:
        for process in started:
            subprocess.run(["pkill", "-KILL", "-P", str(process.pid)], check=False)
            process.kill()
            process.wait()


async def starved(folder: Path, minutes: float) -> list[Figure]:
    """Sends commands for a while, and counts terms; each takeover is told with its cause."""
    async with RunningPair(folder / "starved", spec()) as pair:
        async with AreaClient([n.url for n in pair.nodes.values() if n.name in "ab"], token=TOKEN) as client:
            entity = await some_entity(client)
            active, _passive = await pair.wait_until_redundant(60)
            before = await active.client.status()
            marks = {name: len(node.log()) for name, node in pair.nodes.items()}
            sent = failed = 0
            with busy_processes():
                end = time.perf_counter() + minutes * 60
                while time.perf_counter() < end:
                    try:
                        sent += len(await client.send(impulses(entity, 10)))
                    except ClientError as error:
                        failed += 1
                        click.echo(f"a batch was not acknowledged: {error}", err=True)
            await pair.wait_until_redundant(60)
            statuses = await pair.statuses()

        lines = [line for name, node in pair.nodes.items() for line in node.log()[marks[name] :].splitlines()]
        told = [line for line in lines if "became active" in line]
        for line in told:
            click.echo(line, err=True)
        causes = Counter(match[1] if (match := _CAUSE.search(line)) else "not told" for line in told)
        newest = max(statuses.values(), key=lambda status: status.term)
    name = f"{minutes:g} minutes beside {PROCESSES} busy processes (load {PROCESSES * LOOPS})"
    ticks = (newest.tick - before.tick) / (minutes * 60)
    return [
        single(f"takeovers that nobody caused in {name}", "", newest.term - before.term, at_most=1),
        single("those of them without a cause in the log", "", causes["not told"], at_most=0),
        single("ticks a second in the same time, of 20", "1/s", ticks),
        single("commands acknowledged in the same time", "", sent, n=sent),
        single("batches that were not acknowledged in the same time", "", failed, at_most=0),
        single("digest mismatches in the same time", "", sum(s.divergences for s in statuses.values()), at_most=0),
    ]
