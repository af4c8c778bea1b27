"""`pairsim skip` and `pairsim engines restart`: orders of an operator about the engines of an area."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import click

from pairsim.addresses import is_http_url
from pairsim.cli.local_api import WorldAddress, request, world_options
from pairsim.client.client import AreaClient
from pairsim.client.errors import ClientError
from pairsim.protocol.frames import FailingTickAnswer, OrderAnswer

T = TypeVar("T")


def _urls(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not is_http_url(value):
            raise click.BadParameter(f"{value} is not a URL such as http://west.pairsim.svc", ctx, param)
    return values


_url_option = click.option(
    "--url", "urls", multiple=True, callback=_urls,
    help="A replica or a Service, such as http://west.pairsim.svc, in place of --port. May be repeated.",
)  # fmt: skip
_token_option = click.option(
    "--token-file", type=click.Path(path_type=Path), envvar="PAIRSIM_TOKEN_FILE",
    help="File with the bearer token of the control paths, for --url.",
)  # fmt: skip


@click.command()
@click.argument("area")
@click.argument("command", required=False)
@_url_option
@_token_option
@world_options
def skip(area: str, command: str | None, urls: tuple[str, ...], token_file: Path | None, address: WorldAddress) -> None:
    """Leaves COMMAND, an id, out of the tick that fails in AREA.

    Without COMMAND, it lists the commands of that tick. AREA has to be paused: its simulator fails at the tick on both
    replicas. The command is rejected as "skipped", and the other commands of the tick are applied. It is refused if a
    client may have seen the tick.
    """
    if command is None:
        _list_commands(area, urls, token_file, address)
        return
    if urls:
        done = _ask(area, urls, token_file, lambda client: client.skip(command))
    else:
        done = request(address, "/v1/skip", OrderAnswer, {"area": area, "command": command})
    click.echo(f"{area} goes on with tick {done.tick} without command {command}")


def _list_commands(area: str, urls: tuple[str, ...], token_file: Path | None, address: WorldAddress) -> None:
    if urls:
        found = _ask(area, urls, token_file, lambda client: client.failing_tick())
    else:
        found = request(address, f"/v1/skip?area={quote(area, safe='')}", FailingTickAnswer)
    count = len(found.commands)
    if not count:
        click.echo(f"{area} is paused before tick {found.tick}, which fails before it has any commands")
        return
    click.echo(f"{area} is paused before tick {found.tick}, which has {count} command{'s' * (count > 1)}:")
    for command in found.commands:
        click.echo(f"{command.id}  {command.op} of entity {command.entity}{'  left out' * command.left_out}")


@click.group()
def engines() -> None:
    """Orders about the engines of an area, which run its simulator."""


@engines.command()
@click.argument("area")
@click.option(
    "--even-if-seen", is_flag=True,
    help="Computes the tick with mended code though clients may have seen it: they may see it in two versions.",
)  # fmt: skip
@_url_option
@_token_option
@world_options
def restart(
    area: str, *, even_if_seen: bool, urls: tuple[str, ...], token_file: Path | None, address: WorldAddress
) -> None:
    """Replaces the engines of AREA by new ones, with the newest code.

    A paused area tries its tick again at once. An area that runs goes on until the new engines are ready on both
    replicas. Code that was mended or updated comes into force, if need be that of the other replica, which becomes the
    active.
    """
    if urls:
        done = _ask(area, urls, token_file, lambda client: client.restart_engines(even_if_seen=even_if_seen))
    else:
        body: dict[str, str | bool] = {"area": area, **({"even_if_seen": True} if even_if_seen else {})}
        done = request(address, "/v1/engines/restart", OrderAnswer, body)
    click.echo(f"{area} {_restarted(done)}")


def _restarted(done: OrderAnswer) -> str:
    code = f" and the code of {done.code_of}" if done.code_of else " and other code" if done.other_code else ""
    if done.running:
        return f"computes tick {done.tick} and those after it with new engines{code or ', whose code is the same'}"
    return f"tries tick {done.tick} again with new engines{code}"


def _ask(area: str, urls: tuple[str, ...], token_file: Path | None, act: Callable[[AreaClient], Awaitable[T]]) -> T:
    """Sends an order to the replicas of an area."""
    if token_file is None:
        raise click.UsageError("--url needs --token-file, or PAIRSIM_TOKEN_FILE in the environment")
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"the token cannot be read from {token_file}: {error}") from error

    async def send() -> T:
        async with AreaClient(list(urls), area=area, token=token) as client:
            return await act(client)

    try:
        return asyncio.run(send())
    except ClientError as error:
        raise click.ClickException(str(error)) from error
