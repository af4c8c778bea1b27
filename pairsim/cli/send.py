"""`pairsim send`: sends commands from arguments, a file or standard input, or as a load.

Without an area each command goes to the area of its entity. The first word is an area unless an entity follows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import click

from pairsim.addresses import format_address, is_http_url
from pairsim.cli.command_parser import parse_words, read_commands
from pairsim.cli.load import run_load
from pairsim.cli.local_api import WorldAddress, fetch_world, world_options
from pairsim.client.client import AreaClient
from pairsim.client.errors import ClientError, Unavailable
from pairsim.client.world.client import WorldClient
from pairsim.model.commands import Command, CommandError, Result, Status
from pairsim.model.world_status import WorldStatus, unknown_area_message

_BATCH_COMMANDS = 100
_SECONDS = re.compile(r"\d+ s\b")
_MAX_SHOWN = 20
_RETRY_HINT = ": try again with the same ids"
"""The end of a process's error, which the command replaces by a sentence with the ids."""

_MAX_RATE = 100_000.0
_MAX_SECONDS = 7 * 86_400.0


def _finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """Refuses NaN, which is neither below nor above a bound."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number.", ctx, param)
    return value


def _addresses(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not is_http_url(value):
            raise click.BadParameter(f"{value} is not a URL such as http://west.pairsim.svc", ctx, param)
    return values


@click.command()
@click.argument("area", required=False)
@click.argument("words", nargs=-1, metavar="[OP ENTITY [NAME=VALUE[,VALUE...]]...]")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    help="File of JSON lines with op, entity, components and id. [default: standard input]",
)
@click.option(
    "--id",
    "command_id",
    help="The id of the command: one that was sent before with this id is not applied again. [default: a new one]",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True, max=_MAX_RATE),
    callback=_finite,
    help="Sends a load: impulses per second, to entities at random.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, max=_MAX_SECONDS),
    callback=_finite,
    default=10.0,
    show_default=True,
    help="Length of the load.",
)
@click.option("--count", type=click.IntRange(min=1), help="Number of impulses of the load, in place of --seconds.")
@click.option(
    "--url",
    "urls",
    multiple=True,
    callback=_addresses,
    help="A replica or a Service, such as http://west.pairsim.svc, in place of --port. May be repeated.",
)
@world_options
def send(
    area: str | None,
    words: tuple[str, ...],
    path: Path | None,
    command_id: str | None,
    rate: float | None,
    seconds: float,
    count: int | None,
    urls: tuple[str, ...],
    address: WorldAddress,
) -> None:
    """Sends commands and waits until they are committed.

    Without an AREA a command goes to the area of its ENTITY, and a spawn to the area of its position.

    \b
    pairsim send spawn 7 position=1,2,3
    pairsim send --file commands.jsonl           (or from standard input)
    pairsim send west spawn 7 position=1,2,3
    pairsim send west impulse 7 impulse=1,0,0
    pairsim send west --file commands.jsonl      (or from standard input)
    pairsim send west --rate 1000 --seconds 60

    `GET /v1/entities` at the URL of a replica lists the ids of its area's entities; `pairsim status` shows the URLs.
    """  # noqa: D301 - click keeps the lines after this character as they are
    if area is not None and words and _is_entity(words[0]):
        words, area = (area, *words), None
    if rate is not None and area is None:
        raise click.UsageError("--rate sends impulses to one area: give the AREA")
    if rate is None and count is not None:
        raise click.UsageError("--count is the number of impulses of a load: give --rate as well")
    if words and path is not None:
        raise click.UsageError("give a command or --file, not both")
    if rate is not None and (words or path is not None):
        raise click.UsageError("--rate sends impulses of its own: give no command and no --file")
    if command_id is not None and not words:
        raise click.UsageError("--id is the id of a single command: give its OP and ENTITY; JSON lines have an id each")
    command = parse_words(words, command_id) if words else None
    found = list(urls) or _found_urls(address, area)
    try:
        if rate is not None and area is not None:
            asyncio.run(run_load(area, found, rate, count or max(1, round(rate * seconds))))
        else:
            numbered = [(0, command)] if command is not None else read_commands(path)
            client = WorldClient(found) if area is None else AreaClient(found, area=area)
            asyncio.run(_send(client, area, numbered, lambda name: "" if urls else _area_state(address, name)))
    except (ClientError, CommandError) as error:
        raise click.ClickException(str(error)) from error


def _is_entity(word: str) -> bool:
    return word.isascii() and word.isdecimal()


def _found_urls(address: WorldAddress, area: str | None) -> list[str]:
    """Returns the URLs of the processes of a local world that commands for an area go to; without one, the world's."""
    world = fetch_world(address)
    if area is None:
        return [f"http://{format_address(address.host, address.port)}"]
    return _process_urls(world, area, address.port)


def _process_urls(world: WorldStatus, area: str, port: int) -> list[str]:
    """Returns the URLs of the replicas first, then those of all other processes.

    Another process may become a replica of the area while commands are sent.
    """
    found = next((a for a in world.areas if a.area == area), None)
    if found is None:
        raise click.ClickException(
            unknown_area_message(area, (a.area for a in world.areas), f"the world on port {port}")
        )
    if not found.replicas:
        reason = found.missing or "no replica can be reached"
        raise click.ClickException(f"{area} takes no commands at the moment: {reason}; try again")
    others = [r.url for a in world.areas if a is not found for r in a.replicas] + [s.url for s in world.spares]
    return [r.url for r in found.replicas] + others


def _area_state(address: WorldAddress, area: str) -> str:
    """Returns what the world says about an area that took no commands; empty if it says nothing."""
    with contextlib.suppress(click.ClickException):
        found = next((a for a in fetch_world(address).areas if a.area == area), None)
        return found.missing if found is not None else ""
    return ""


async def _send(
    client: AreaClient | WorldClient,
    area: str | None,
    numbered: list[tuple[int, Command]],
    area_state: Callable[[str], str],
) -> None:
    """Sends batch after batch and prints the outcomes, also of the batches before one that fails."""
    outcome = SendOutcome()
    async with client:
        for first in range(0, len(numbered), _BATCH_COMMANDS):
            batch = numbered[first : first + _BATCH_COMMANDS]
            try:
                outcome.add(await client.send([command for _number, command in batch]))
            except (ClientError, CommandError) as error:
                outcome.add(list(error.answered) if isinstance(error, ClientError) else [])
                outcome.end()
                sentence = _error_message(error, batch, first, len(numbered))
                state = area_state(area) if area is not None and isinstance(error, Unavailable) else ""
                if state and _SECONDS.sub("", state) not in _SECONDS.sub("", sentence):
                    sentence += f"\n{area}: {state}"
                raise click.ClickException(sentence) from error
    outcome.end()
    if outcome.counts["rejected"] or outcome.counts["moved"]:
        raise SystemExit(1)


class SendOutcome:
    """The results so far: the first ones are printed, all are counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, results: list[Result]) -> None:
        """Counts results, and prints them until enough are printed."""
        room = max(0, _MAX_SHOWN - self.counts.total())
        for result in results[:room]:
            reason = f"  {result.reason}" if result.reason else ""
            if result.status is Status.MOVED:
                reason = f"  the entity is in {result.area or 'another area, or in none'}: send without an area"
            click.echo(f"{result.id}  {result.status}  tick {result.tick}{reason}")
        self.counts.update(result.status.value for result in results)

    def end(self) -> None:
        """Prints the counts if some results were not printed."""
        if self.counts.total() > _MAX_SHOWN:
            click.echo("... " + ", ".join(f"{count} {status}" for status, count in sorted(self.counts.items())))


def _error_message(error: Exception, batch: list[tuple[int, Command]], before: int, count: int) -> str:
    """Returns the error in the user's terms: with line numbers, and with the number of commands committed before."""
    unknown = error.unknown if isinstance(error, Unavailable) else ()
    again = str(error).endswith(_RETRY_HINT)
    sentence = str(error).removesuffix(_RETRY_HINT)
    for number, command in batch:
        sentence = sentence.replace(f"command {command.id}: ", f"line {number}: " if number else "")
    if count > 1:
        sentence += f"; {before} of {count} commands were committed before"
    ids = [*unknown] or [command.id for _number, command in batch if again]
    if ids and not batch[0][0]:
        sentence += f"; send it again with --id {ids[0]}, so that it is not applied twice"
    elif ids:
        listed = ", ".join(ids[:_MAX_SHOWN]) + ", ..." * (len(ids) > _MAX_SHOWN)
        sentence += f"; send them again with the same ids, so that none is applied twice: {listed}"
    return sentence
