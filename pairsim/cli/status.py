"""`pairsim status`: the world as a table, or as JSON."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Never

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pairsim.cli.local_api import Where, at_world, world
from pairsim.model.world_status import WorldPicture

_PERIOD = 0.5
_WIDTH = 1000
"""As much as it takes, where there is no terminal: what is cut off cannot be copied."""

_LEFT_OUT: tuple[frozenset[str], ...] = (frozenset(), frozenset({"url"}), frozenset({"url", "pid"}))
"""Columns that give way in a narrow terminal; `--json` has them all."""

_NUMBERS = ("term", "tick", "lag", "entities", "pid")
_COLUMNS = ("area", "role", "replica", *_NUMBERS, "url")


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
                _again(where, lambda picture: live.update(shown(picture, live.console.width), refresh=True))


def _again(where: Where, show: Callable[[WorldPicture], None]) -> Never:
    while True:
        show(world(where))
        time.sleep(_PERIOD)


def _json(picture: WorldPicture, *, indented: bool = False) -> str:
    encoded = msgspec.json.encode(picture)
    return (msgspec.json.format(encoded) if indented else encoded).decode()


def _print(picture: WorldPicture) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(shown(picture, console.width))


def shown(picture: WorldPicture, width: int) -> Group:
    """The world for so many columns: a table, and what it has no room for as sentences below."""
    measuring = Console(width=_WIDTH)
    tables = [_table(picture, left_out) for left_out in _LEFT_OUT]
    table = next((table for table in tables if measuring.measure(table).maximum <= width), tables[-1])
    return Group(table, *(Text(sentence) for sentence in _sentences(picture)))


def _sentences(picture: WorldPicture) -> Iterator[str]:
    for area in picture.areas:
        if area.missing:
            yield f"{area.area} is not redundant: {area.missing}"
        if area.slow:
            yield f"{area.area} is slow: {area.slow}"
        for replica in area.replicas:
            if replica.divergences:
                yield (
                    f"{area.area}: {replica.replica} came to another state than the active, {replica.divergences} "
                    "time(s) since its start: its simulator's step is not deterministic"
                )


def _table(picture: WorldPicture, left_out: frozenset[str]) -> Table:
    table = Table(title=f"{len(picture.areas)} area(s), {len(picture.spares)} spare(s)", title_justify="left")
    columns = {name: place for place, name in enumerate(_COLUMNS) if name not in left_out}
    for name in columns:
        # What a terminal has no room for goes on in the next line: an ellipsis would hide it.
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")

    def row(*cells: object, last: bool = False) -> None:
        table.add_row(*(str(cells[place]) for place in columns.values()), end_section=last)

    for area in picture.areas:
        for place, r in enumerate(area.replicas):
            name = area.area if place == 0 else ""
            row(name, r.role, r.replica, r.term, r.tick, r.lag_ticks, r.entities, r.pid or "-", r.url)
        if not area.replicas:
            row(area.area, "-", "none can be reached", *[""] * 6)
        state = "  redundant" if area.redundant else "  [bold]NOT redundant[/bold]"
        row(state, "witness", area.witness.name, *[""] * 4, area.witness.pid or "-", area.witness.url, last=True)
    for spare in picture.spares:
        row("", "spare", spare.name, *[""] * 4, spare.pid or "-", spare.url)
    return table
