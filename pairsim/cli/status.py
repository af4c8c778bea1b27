"""`pairsim status`: the world as a table, or as JSON."""

from __future__ import annotations

import contextlib
import time

import click
import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table

from controller.picture import WorldPicture
from pairsim.cli.local import Where, at_world, world

_PERIOD = 0.5
_WIDTH = 104
"""Narrower, addresses would be cut off, and what is cut off cannot be copied."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--watch", is_flag=True, help="Until Ctrl-C.")
@at_world
def status(as_json: bool, watch: bool, where: Where) -> None:
    """Shows areas and replicas."""
    picture = world(where)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(picture)).decode())
    elif not watch:
        console = Console()
        console.print(_table(picture), width=max(console.width, _WIDTH), crop=False)
    else:
        with contextlib.suppress(KeyboardInterrupt), Live(_table(picture), auto_refresh=False) as live:
            while True:
                time.sleep(_PERIOD)
                live.update(_table(world(where)), refresh=True)


def _table(picture: WorldPicture) -> Table:
    table = Table(title=f"{len(picture.areas)} area(s), {len(picture.spares)} spare(s)", title_justify="left")
    for name in ("area", "role", "replica"):
        table.add_column(name, no_wrap=True)
    for name in ("term", "tick", "lag", "entities", "pid"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("url", no_wrap=True)
    for area in picture.areas:
        state = "redundant" if area.redundant else "[bold]NOT redundant[/bold]"
        for place, r in enumerate(area.replicas):
            cells = (r.role, r.replica, r.term, r.tick, r.lag_ticks, r.entities, r.pid or "-", r.url)
            table.add_row(area.area if place == 0 else "", *map(str, cells))
        witness = area.witness
        table.add_row(
            f"  {state}", "witness", "", "", "", "", "", str(witness.pid or "-"), witness.url, end_section=True
        )
    for spare in picture.spares:
        table.add_row("", "spare", "", "", "", "", "", str(spare.pid or "-"), spare.url)
    return table
