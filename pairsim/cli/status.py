"""`pairsim status`: shows the world as a table, or as JSON."""

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

from pairsim.cli.local_api import WorldAddress, fetch_world, world_options
from pairsim.model.world_status import WorldStatus

_REFRESH_SECONDS = 0.5
_UNLIMITED_WIDTH = 1000
"""The width in columns without a terminal: wide enough that nothing is cut off, so that a user can copy all of it."""

_HIDDEN_COLUMNS: tuple[frozenset[str], ...] = (frozenset(), frozenset({"url"}), frozenset({"url", "pid"}))
"""The columns that a narrow terminal leaves out, step by step; `--json` has all of them."""

_NUMBERS = ("term", "tick", "lag", "entities", "pid")
_COLUMNS = ("area", "role", "replica", *_NUMBERS, "url")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Prints JSON for programs; with --watch, one document per line.")
@click.option("--watch", is_flag=True, help="Repeats until Ctrl-C.")
@world_options
def status(as_json: bool, watch: bool, address: WorldAddress) -> None:
    """Shows the areas, their members and the spares."""
    if not watch:
        world = fetch_world(address)
        if as_json:
            click.echo(_json(world, indented=True))
        else:
            _print(world)
        return
    with contextlib.suppress(KeyboardInterrupt):
        if as_json:
            _show_repeatedly(address, lambda world: click.echo(_json(world)))
        elif not Console().is_terminal:
            _show_repeatedly(address, _print)
        else:
            with Live(auto_refresh=False) as live:
                _show_repeatedly(address, lambda world: live.update(render(world, live.console.width), refresh=True))


def _show_repeatedly(address: WorldAddress, show: Callable[[WorldStatus], None]) -> Never:
    while True:
        show(fetch_world(address))
        time.sleep(_REFRESH_SECONDS)


def _json(world: WorldStatus, *, indented: bool = False) -> str:
    encoded = msgspec.json.encode(world)
    return (msgspec.json.format(encoded) if indented else encoded).decode()


def _print(world: WorldStatus) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNLIMITED_WIDTH)
    console.print(render(world, console.width))


def render(world: WorldStatus, width: int) -> Group:
    """Returns a table that fits into `width` columns, with warnings as sentences below it."""
    measuring = Console(width=_UNLIMITED_WIDTH)
    tables = [_table(world, left_out) for left_out in _HIDDEN_COLUMNS]
    table = next((table for table in tables if measuring.measure(table).maximum <= width), tables[-1])
    return Group(table, *(Text(sentence) for sentence in _warnings(world)))


def _warnings(world: WorldStatus) -> Iterator[str]:
    for area in world.areas:
        if area.missing:
            yield f"{area.area} is not redundant: {area.missing}"
        if area.slow:
            yield f"{area.area} is slow: {area.slow}"
        for replica in area.replicas:
            if replica.divergences:
                yield (
                    f"{area.area}: the state of {replica.replica} differed from the active's {replica.divergences} "
                    "time(s) since its start: the step of its simulator is not deterministic"
                )


def _table(world: WorldStatus, left_out: frozenset[str]) -> Table:
    table = Table(title=f"{len(world.areas)} area(s), {len(world.spares)} spare(s)", title_justify="left")
    columns = {name: place for place, name in enumerate(_COLUMNS) if name not in left_out}
    for name in columns:
        # A long text continues in the next line: an ellipsis would hide a part of it.
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")

    def row(*cells: object, last: bool = False) -> None:
        table.add_row(*(str(cells[place]) for place in columns.values()), end_section=last)

    for area in world.areas:
        for place, r in enumerate(area.replicas):
            name = area.area if place == 0 else ""
            row(name, r.role, r.replica, r.term, r.tick, r.lag_ticks, r.entities, r.pid or "-", r.url)
        if not area.replicas:
            row(area.area, "-", "not reachable", *[""] * 6)
        state = "  redundant" if area.redundant else "  [bold]NOT redundant[/bold]"
        row(state, "witness", area.witness.name, *[""] * 4, area.witness.pid or "-", area.witness.url, last=True)
    for spare in world.spares:
        row("", "spare", spare.name, *[""] * 4, spare.pid or "-", spare.url)
    return table
