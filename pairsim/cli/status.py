"""`pairsim status`: the world as a table, or as JSON."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Never

import click
import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from controller.pace import SLOW
from controller.picture import WorldPicture
from pairsim.cli.local import Where, at_world, world

_PERIOD = 0.5
_WIDTH = 1000
"""As much as it takes: what is cut off cannot be copied."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs; with --watch one document a line.")
@click.option("--watch", is_flag=True, help="Until Ctrl-C.")
@at_world
def status(as_json: bool, watch: bool, where: Where) -> None:
    """Shows areas and replicas."""
    if not watch:
        picture = world(where)
        if as_json:
            click.echo(_json(picture, indented=True))
        else:
            _print(picture)
        return
    with contextlib.suppress(KeyboardInterrupt):
        if as_json:
            _again(where, lambda picture: click.echo(_json(picture)))
        elif not Console().is_terminal:
            _again(where, _print)
        else:
            with Live(auto_refresh=False) as live:
                _again(where, lambda picture: live.update(_table(picture), refresh=True))


def _again(where: Where, show: Callable[[WorldPicture], None]) -> Never:
    while True:
        show(world(where))
        time.sleep(_PERIOD)


def _json(picture: WorldPicture, *, indented: bool = False) -> str:
    encoded = msgspec.json.encode(picture)
    return (msgspec.json.format(encoded) if indented else encoded).decode()


def _print(picture: WorldPicture) -> None:
    Console(width=_WIDTH).print(_table(picture), crop=False)


def _table(picture: WorldPicture) -> Table:
    table = Table(title=f"{len(picture.areas)} area(s), {len(picture.spares)} spare(s)", title_justify="left")
    for name in ("area", "role", "replica"):
        table.add_column(name, no_wrap=True)
    for name in ("term", "tick", "lag", "entities", "pid"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("url", no_wrap=True)
    for area in picture.areas:
        state = "redundant" if area.redundant else "[bold]NOT redundant[/bold]"
        state += f", at {area.pace:.2g} of its rate" * (area.pace < SLOW)
        for place, r in enumerate(area.replicas):
            cells = (r.role, r.replica, r.term, r.tick, r.lag_ticks, r.entities, r.pid or "-", r.url)
            table.add_row(area.area if place == 0 else "", *map(str, cells))
        witness = area.witness
        if not area.replicas:
            table.add_row(area.area, "-", "none can be reached")
        table.add_row(
            f"  {state}", "witness", "", "", "", "", "", str(witness.pid or "-"), witness.url, end_section=True
        )
    for spare in picture.spares:
        table.add_row("", "spare", "", "", "", "", "", str(spare.pid or "-"), spare.url)
    return table
