"""`pairsim status`: shows the world as a table, or as JSON."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple, Never

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pairsim.cli.local_api import WorldAddress, fetch_world, world_options
from pairsim.model.world_status import AreaStatusView, WorldStatus
from pairsim.wording import counted

_REFRESH_SECONDS = 0.5
_UNLIMITED_WIDTH = 1000
"""The width in columns without a terminal: wide enough that nothing is cut off, so that a user can copy all of it."""

_CROSSING_COLUMNS, _MAP_COLUMNS = ("in/s", "out/s", "waiting"), ("number", "map")
_HIDEABLE_COLUMNS = (*_MAP_COLUMNS, "url", "outside", "tick ms", "pace", "pid", *_CROSSING_COLUMNS)
_HIDDEN_COLUMNS = tuple(frozenset(_HIDEABLE_COLUMNS[:count]) for count in range(len(_HIDEABLE_COLUMNS) + 1))
"""The columns that a narrow terminal leaves out, step by step; `--json` has all of them."""

_FIRST_WIDTHS = {"area": 15, "role": 7, "replica": 13, "tick": 7, "tick ms": 7, "pace": 4, "entities": 8}
_WATCHED_WIDTHS = _FIRST_WIDTHS | dict.fromkeys(_CROSSING_COLUMNS, 7)
"""Room for texts and numbers that come later, so that the columns of `--watch` stay where they are."""

_NUMBERS = ("term", "tick", "lag", "tick ms", "pace", "entities", *_CROSSING_COLUMNS, "outside", *_MAP_COLUMNS, "pid")
_COLUMNS = ("area", "role", "replica", *_NUMBERS, "url")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Prints JSON for programs; with --watch, one document per line.")
@click.option("--watch", is_flag=True, help="Repeats until Ctrl-C, also while the world is gone.")
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
            _watch(address, lambda world: click.echo(_json(world)), _warn)
        elif not Console().is_terminal:
            _watch(address, _print, _warn)
        else:
            with Live(auto_refresh=False) as live:
                screen = _Screen(live)
                _watch(address, screen.show, screen.show_gone)


def _watch(address: WorldAddress, show: Callable[[WorldStatus], None], show_gone: Callable[[str], None]) -> Never:
    """Shows the world again and again; while it cannot be reached, says so once and goes on.

    Raises:
        click.ClickException: The world cannot be reached at the start, so that the address may be a mistake.
    """
    show(fetch_world(address))
    gone = ""
    while True:
        time.sleep(_REFRESH_SECONDS)
        try:
            world = fetch_world(address)
        except click.ClickException as error:
            if error.message != gone:
                show_gone(f"{time.strftime('%H:%M:%S')}  {error.message}; waiting for the world")
            gone = error.message
        else:
            gone = ""
            show(world)


def _warn(sentence: str) -> None:
    click.echo(sentence, err=True)


class _Screen:
    """A terminal that shows the newest table, and below it why it cannot show a newer one."""

    def __init__(self, live: Live) -> None:
        self._live, self._widths = live, dict(_WATCHED_WIDTHS)
        self._world = WorldStatus([], [])

    def show(self, world: WorldStatus) -> None:
        """Shows a world."""
        self._world = world
        self._live.update(render(world, self._live.console.width, self._widths), refresh=True)

    def show_gone(self, sentence: str) -> None:
        """Shows the last world, and that the world cannot be reached."""
        last = render(self._world, self._live.console.width, self._widths)
        self._live.update(Group(last, Text(sentence, style="bold")), refresh=True)


def _json(world: WorldStatus, *, indented: bool = False) -> str:
    encoded = msgspec.json.encode(world)
    return (msgspec.json.format(encoded) if indented else encoded).decode()


def _print(world: WorldStatus) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNLIMITED_WIDTH)
    console.print(render(world, console.width))


def render(world: WorldStatus, width: int, widths: dict[str, int] | None = None) -> Group:
    """Returns a table that fits into `width` columns, with warnings as sentences below it.

    Args:
        world: The world.
        width: The width of the terminal.
        widths: The least widths of the columns by name; grows with the table's content, so that a caller that passes
            it again gets columns that never become narrower.
    """
    measuring, widths = Console(width=_UNLIMITED_WIDTH), {} if widths is None else widths
    rows = list(_rows(world))
    for place, name in enumerate(_COLUMNS):
        longest = max((row.cells[place].cell_len for row in rows), default=0)
        widths[name] = max(widths.get(name, 0), longest)
    unused = _unused_columns(world)
    tables = [_table(world, rows, widths, left_out | unused) for left_out in _HIDDEN_COLUMNS]
    table = next((table for table in tables if measuring.measure(table).maximum <= width), tables[-1])
    return Group(table, *(Text(sentence) for sentence in _sentences(world)))


def _unused_columns(world: WorldStatus) -> frozenset[str]:
    """Returns the columns about borders if no area has a neighbour."""
    if any(area.borders is not None and area.borders.neighbours for area in world.areas):
        return frozenset()
    return frozenset((*_CROSSING_COLUMNS, *_MAP_COLUMNS))


def _sentences(world: WorldStatus) -> Iterator[str]:
    """Yields the balance of each plane, and the warnings."""
    for balance in world.balances:
        yield f"{balance.plane}: {balance.sentence}"
    yield from _warnings(world)


def _warnings(world: WorldStatus) -> Iterator[str]:
    for area in world.areas:
        if area.missing:
            yield f"{area.area} is not redundant: {area.missing}"
        if area.slow:
            yield f"{area.area} is slow: {area.slow}"
        for neighbour in area.borders.neighbours if area.borders is not None else ():
            if neighbour.stalled:
                yield f"{area.area}: {neighbour.stalled}"
        for replica in area.replicas:
            if replica.divergences and replica.role == "active":
                yield (
                    f"{area.area}: the state of {replica.replica}, the active now, had differed from that of the "
                    "active before it: the step of its simulator is not deterministic"
                )
            elif replica.divergences:
                yield (
                    f"{area.area}: the state of {replica.replica} differed from the active's "
                    f"{counted(replica.divergences, 'time')} since its start: the step of its simulator is not "
                    "deterministic"
                )


class _Row(NamedTuple):
    """The cells of a row, one for each of `_COLUMNS`; as texts, since markup would take `[fd00::5]` for a style."""

    cells: tuple[Text, ...]
    ends_section: bool = False


def _row(*cells: object, ends_section: bool = False) -> _Row:
    return _Row(tuple(cell if isinstance(cell, Text) else Text(str(cell)) for cell in cells), ends_section)


def _rows(world: WorldStatus) -> Iterator[_Row]:
    for area in world.areas:
        for place, r in enumerate(area.replicas):
            name = area.area if place == 0 else ""
            tick_ms = f"{area.tick_ms:.1f}" if area.tick_ms else "-"
            active = r.role == "active"
            times = (tick_ms, f"{area.pace:.0%}") if active else ("", "")
            crossings = _crossings(area) if active else [""] * len(_CROSSING_COLUMNS)
            known = (area.number or "-", area.version or "-") if active else ("", "")
            numbers = r.term, r.tick, r.lag_ticks, *times, r.entities, *crossings, r.outside, *known
            yield _row(name, r.role, r.replica, *numbers, r.pid or "-", r.url)
        if not area.replicas:
            yield _row(area.area, "-", "none", *[""] * (len(_COLUMNS) - 3))
        state = Text("  redundant") if area.redundant else Text("  ").append("NOT redundant", style="bold")
        witness = area.witness
        yield _row(
            state,
            "witness",
            witness.name,
            *[""] * (len(_NUMBERS) - 1),
            witness.pid or "-",
            witness.url,
            ends_section=True,
        )
    for spare in world.spares:
        yield _row("", "spare", spare.name, *[""] * (len(_NUMBERS) - 1), spare.pid or "-", spare.url)


def _crossings(area: AreaStatusView) -> list[str]:
    """Returns what comes and goes in a second, and what waits in outboxes."""
    borders = area.borders
    if borders is None:
        return ["-"] * len(_CROSSING_COLUMNS)
    return [f"{borders.in_per_second:.0f}", f"{borders.out_per_second:.0f}", str(borders.waiting)]


def _table(world: WorldStatus, rows: list[_Row], widths: dict[str, int], left_out: frozenset[str]) -> Table:
    title = f"{counted(len(world.areas), 'area')}, {counted(len(world.spares), 'spare')}"
    table = Table(title=title, title_justify="left")
    columns = {name: place for place, name in enumerate(_COLUMNS) if name not in left_out}
    for name in columns:
        # A long text continues in the next line: an ellipsis would hide a part of it.
        justify: Literal["left", "right"] = "right" if name in _NUMBERS else "left"
        table.add_column(name, justify=justify, overflow="fold", min_width=widths[name])
    for row in rows:
        table.add_row(*(row.cells[place] for place in columns.values()), end_section=row.ends_section)
    return table
