"""`pairsim send`: commands from arguments, a file or standard input, or as a load."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import msgspec

from controller.picture import WorldPicture
from pairsim.cli.local import Where, at_world
from pairsim.cli.local import world as find_world
from pairsim.model.commands import Command, CommandError, Result, Value
from pairsim.network.client import AreaClient, new_id
from pairsim.network.client_errors import ClientError, Unavailable

_BATCH = 100


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    op: str
    entity: int
    components: dict[str, Value] = {}
    id: str = ""


@click.command()
@click.argument("area")
@click.argument("words", nargs=-1, metavar="[OP ENTITY [NAME=VALUE[,VALUE...]]...]")
@click.option("--file", "path", type=click.Path(path_type=Path), help="JSON lines: {op, entity, components, id}.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Load: impulses a second, to entities at random."
)
@click.option("--seconds", type=click.FloatRange(min=0), default=10.0, show_default=True, help="How long it lasts.")
@click.option("--count", type=click.IntRange(min=1), help="How many impulses, whatever --seconds says.")
@at_world
def send(
    area: str,
    words: tuple[str, ...],
    path: Path | None,
    rate: float | None,
    seconds: float,
    count: int | None,
    where: Where,
) -> None:
    r"""Sends commands to AREA and waits until they are committed.

    \b
    pairsim send west impulse 42 impulse=1,0,0
    pairsim send west spawn 7 position=1,2,3
    pairsim send west --file commands.jsonl      (or from standard input)
    pairsim send west --rate 1000 --seconds 60
    """
    urls = _urls(find_world(where), area)
    try:
        if rate is not None:
            if words or path is not None:
                raise click.UsageError("--rate sends impulses of its own: give no command and no --file")
            asyncio.run(_load(area, urls, rate, count or max(1, round(rate * seconds))))
        else:
            _report(asyncio.run(_send(area, urls, _commands(words, path))))
    except (ClientError, CommandError) as error:
        raise click.ClickException(str(error)) from error


def _urls(world: WorldPicture, area: str) -> list[str]:
    """The replicas' first; then all others, of which one may get the area while commands are sent."""
    found = next((a for a in world.areas if a.area == area), None)
    if found is None:
        raise click.ClickException(
            f"there is no area {area!r}: this world has {', '.join(a.area for a in world.areas)}"
        )
    if not found.replicas:
        raise click.ClickException(f"{area} has no replica that can be reached at the moment: try again")
    others = [r.url for a in world.areas if a is not found for r in a.replicas] + [s.url for s in world.spares]
    return [r.url for r in found.replicas] + others


def _commands(words: tuple[str, ...], path: Path | None) -> list[Command]:
    if words and path is not None:
        raise click.UsageError("give a command or --file, not both")
    if words:
        return [_from_words(words)]
    try:
        lines = (path.read_text(encoding="utf-8") if path else sys.stdin.read()).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"cannot read {path or 'standard input'}: {error}") from error
    return list(_from_lines(lines))


def _from_words(words: tuple[str, ...]) -> Command:
    if len(words) < 2 or not words[1].isdecimal():
        raise click.UsageError("a command is: OP ENTITY [NAME=VALUE[,VALUE...]]...")
    components: dict[str, Value] = {}
    for word in words[2:]:
        name, _equals, text = word.partition("=")
        try:
            numbers = [float(number) for number in text.split(",")]
        except ValueError:
            raise click.UsageError(f"{word!r} is not NAME=VALUE[,VALUE...] with numbers") from None
        components[name] = numbers if len(numbers) > 1 else numbers[0]
    return Command(new_id(), words[0], int(words[1]), components)


def _from_lines(lines: Iterable[str]) -> Iterator[Command]:
    for number, text in enumerate(lines, 1):
        if text.strip():
            try:
                line = msgspec.json.decode(text, type=_Line)
            except msgspec.MsgspecError as error:
                raise click.ClickException(f"line {number}: {error}") from error
            yield Command(line.id or new_id(), line.op, line.entity, line.components)


async def _send(area: str, urls: list[str], commands: list[Command]) -> list[Result]:
    async with AreaClient(urls, area=area) as client:
        results: list[Result] = []
        for first in range(0, len(commands), _BATCH):
            results += await client.send(commands[first : first + _BATCH])
        return results


def _report(results: list[Result]) -> None:
    for result in results[:20]:
        click.echo(
            f"{result.id}  {result.status}  tick {result.tick}" + (f"  {result.reason}" if result.reason else "")
        )
    if len(results) > 20:
        counts = Counter(result.status.value for result in results)
        click.echo("... " + ", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    if any(result.status == "rejected" for result in results):
        raise SystemExit(1)


async def _load(area: str, urls: list[str], rate: float, count: int) -> None:
    """Sends impulses at a steady rate. What is not acknowledged is said, and is an error."""
    size = max(1, min(_BATCH, int(rate / 20)))
    counts: Counter[str] = Counter()
    waits: list[float] = []
    async with AreaClient(urls, area=area) as client:
        entities = [entity.id for entity in (await client.entities(limit=1_000)).entities]
        if not entities:
            raise click.ClickException("the area has no entities to send impulses to")
        async with client.session() as session, asyncio.TaskGroup() as group:

            async def one(batch: list[Command]) -> None:
                began = time.perf_counter()
                try:
                    results = await session.send(batch)
                except Unavailable:
                    counts["lost"] += len(batch)
                except ClientError:
                    counts["refused"] += len(batch)
                else:
                    counts.update(result.status.value for result in results)
                    counts["acknowledged"] += len(results)
                    waits.append(time.perf_counter() - began)

            began = time.perf_counter()
            while (sent := counts["sent"]) < count:
                await asyncio.sleep(max(0.0, began + sent / rate - time.perf_counter()))
                batch = [_nudge(random.choice(entities)) for _ in range(min(size, count - sent))]  # noqa: S311 - a load
                counts["sent"] += len(batch)
                group.create_task(one(batch))
    names = ("sent", "acknowledged", "applied", "rejected", "duplicate", "refused", "lost")
    click.echo(", ".join(f"{counts[name]} {name}" for name in names))
    if waits:
        waits.sort()
        click.echo(
            f"acknowledged after {1e3 * waits[len(waits) // 2]:.1f} ms (median),"
            f" {1e3 * waits[int(len(waits) * 0.99)]:.1f} ms (p99), {1e3 * waits[-1]:.1f} ms (longest)"
        )
    if counts["acknowledged"] != counts["sent"]:
        raise SystemExit(1)


def _nudge(entity: int) -> Command:
    return Command(new_id(), "impulse", entity, {"impulse": [0.01, 0.0, 0.0]})
