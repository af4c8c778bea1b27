"""`pairsim send`: commands from arguments, a file or standard input, or as a load."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import click

from pairsim.cli.command_parser import from_file, from_words
from pairsim.cli.load import load
from pairsim.cli.local_api import Where, at_world
from pairsim.cli.local_api import world as find_world
from pairsim.client import AreaClient, ClientError, Unavailable
from pairsim.model.commands import Command, CommandError, Result
from pairsim.model.world_status import WorldPicture

_BATCH = 100
_SHOWN = 20
_MOST_A_SECOND = 100_000.0
_LONGEST = 7 * 86_400.0


def _finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Nan is neither below nor above a bound."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number.", ctx, param)
    return value


def _addresses(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise click.BadParameter(f"{value} is no URL such as http://west.pairsim.svc", ctx, param)
    return values


@click.command()
@click.argument("area")
@click.argument("words", nargs=-1, metavar="[OP ENTITY [NAME=VALUE[,VALUE...]]...]")
@click.option("--file", "path", type=click.Path(path_type=Path), help="JSON lines: {op, entity, components, id}.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True, max=_MOST_A_SECOND),
    callback=_finite,
    help="Load: impulses a second, to entities at random.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, max=_LONGEST),
    callback=_finite,
    default=10.0,
    show_default=True,
    help="Load: how long it lasts.",
)
@click.option("--count", type=click.IntRange(min=1), help="Load: how many impulses, whatever --seconds says.")
@click.option(
    "--url",
    "urls",
    multiple=True,
    callback=_addresses,
    help="Of a replica or a Service, in place of --port: http://west.pairsim.svc. Repeat it.",
)
@at_world
def send(
    area: str,
    words: tuple[str, ...],
    path: Path | None,
    rate: float | None,
    seconds: float,
    count: int | None,
    urls: tuple[str, ...],
    where: Where,
) -> None:
    """Sends commands to AREA and waits until they are committed.

    \b
    pairsim send west impulse 42 impulse=1,0,0
    pairsim send west spawn 7 position=1,2,3
    pairsim send west --file commands.jsonl      (or from standard input)
    pairsim send west --rate 1000 --seconds 60
    """  # noqa: D301 - click keeps the lines after this character as they are
    if rate is None and count is not None:
        raise click.UsageError("--count is how many impulses a load has: give --rate as well")
    if words and path is not None:
        raise click.UsageError("give a command or --file, not both")
    if rate is not None and (words or path is not None):
        raise click.UsageError("--rate sends impulses of its own: give no command and no --file")
    command = from_words(words) if words else None
    found = list(urls) or _urls(find_world(where), area)
    try:
        if rate is not None:
            asyncio.run(load(area, found, rate, count or max(1, round(rate * seconds))))
        else:
            numbered = [(0, command)] if command is not None else from_file(path)
            asyncio.run(_send(area, found, numbered))
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


async def _send(area: str, urls: list[str], numbered: list[tuple[int, Command]]) -> None:
    """Sends batch after batch and tells what became of them, also of those before one that fails."""
    outcome = _Outcome()
    async with AreaClient(urls, area=area) as client:
        for first in range(0, len(numbered), _BATCH):
            batch = numbered[first : first + _BATCH]
            try:
                outcome.add(await client.send([command for _number, command in batch]))
            except (ClientError, CommandError) as error:
                outcome.end()
                raise click.ClickException(_failure(error, batch, first, len(numbered))) from error
    outcome.end()
    if outcome.counts["rejected"]:
        raise SystemExit(1)


class _Outcome:
    """Shows the first results, and counts all."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, results: list[Result]) -> None:
        room = max(0, _SHOWN - self.counts.total())
        for result in results[:room]:
            reason = f"  {result.reason}" if result.reason else ""
            click.echo(f"{result.id}  {result.status}  tick {result.tick}{reason}")
        self.counts.update(result.status.value for result in results)

    def end(self) -> None:
        if self.counts.total() > _SHOWN:
            click.echo("... " + ", ".join(f"{count} {status}" for status, count in sorted(self.counts.items())))


def _failure(error: Exception, batch: list[tuple[int, Command]], before: int, count: int) -> str:
    """What is wrong, in the user's terms: lines, and how much has been done."""
    sentence = str(error)
    for number, command in batch:
        sentence = sentence.replace(f"command {command.id}: ", f"line {number}: " if number else "")
    if count > 1:
        sentence += f"; {before} of {count} commands were committed before"
    if isinstance(error, Unavailable) and error.unknown:
        ids = ", ".join(error.unknown[:_SHOWN]) + ", ..." * (len(error.unknown) > _SHOWN)
        sentence += f"; sent again with the same id none is applied twice: {ids}"
    return sentence
