"""`pairsim skip` and `pairsim engines restart`: orders of an operator about a paused area."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import click

from pairsim.addresses import is_http_url
from pairsim.cli.local_api import WorldAddress, request, world_options
from pairsim.client.client import AreaClient
from pairsim.client.errors import ClientError
from pairsim.protocol.frames import OrderAnswer


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
@click.argument("command")
@_url_option
@_token_option
@world_options
def skip(area: str, command: str, urls: tuple[str, ...], token_file: Path | None, address: WorldAddress) -> None:
    """Leaves COMMAND, an id, out of the tick that fails in AREA.

    AREA has to be paused: its simulator fails at the tick on both replicas. The command is rejected as "skipped", and
    the other commands of the tick are applied. It is refused if a client may have seen the tick.
    """
    if urls:
        done = _ask(area, urls, token_file, lambda client: client.skip(command))
    else:
        done = request(address, "/v1/skip", OrderAnswer, {"area": area, "command": command})
    click.echo(f"{area} goes on with tick {done.tick} without command {command}")


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
    """Starts the engines of AREA again, with the newest code.

    AREA has to be paused: its simulator fails at the next tick on both replicas. It goes on from the tick before at
    once, and not when the next attempt is due.
    """
    if urls:
        done = _ask(area, urls, token_file, lambda client: client.restart_engines(even_if_seen=even_if_seen))
    else:
        body: dict[str, str | bool] = {"area": area, **({"even_if_seen": True} if even_if_seen else {})}
        done = request(address, "/v1/engines/restart", OrderAnswer, body)
    click.echo(f"{area} tries tick {done.tick} again with new engines")


def _ask(
    area: str, urls: tuple[str, ...], token_file: Path | None, act: Callable[[AreaClient], Awaitable[OrderAnswer]]
) -> OrderAnswer:
    """Sends an order to the replicas of an area."""
    if token_file is None:
        raise click.UsageError("--url needs --token-file, or PAIRSIM_TOKEN_FILE in the environment")
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"the token cannot be read from {token_file}: {error}") from error

    async def send() -> OrderAnswer:
        async with AreaClient(list(urls), area=area, token=token) as client:
            return await act(client)

    try:
        return asyncio.run(send())
    except ClientError as error:
        raise click.ClickException(str(error)) from error
