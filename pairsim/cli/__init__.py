"""The command line of pairsim.

The module of a command is imported when the command is called, so that a simulator process stays small. Other packages
add commands by entry points of the group `pairsim.commands`; the controller adds `up` that way, so that nothing here
imports the controller.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points

import click

from pairsim.cli.extras import load_command, missing_extra

_MODULES = {
    "status": "status",
    "send": "send",
    "switchover": "area_actions",
    "kill": "area_actions",
    "skip": "engine_orders",
    "engines": "engine_orders",
    "simulator": "processes",
    "witness": "processes",
    "leave": "leave",
    "install": "install",
}
_ENTRY_POINTS = "pairsim.commands"
_PROCESSES = frozenset({"simulator", "witness"})
_EXTRAS = {"simulator": "simulator", "witness": "simulator", "up": "simulator,controller"}
"""The extras that bring the dependencies of a command."""


class _LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Lists the commands of other packages first: `up` is where a new user starts."""
        others = sorted(point.name for point in entry_points(group=_ENTRY_POINTS) if point.name not in _MODULES)
        return [*others, *_MODULES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the module of a command and returns the command."""
        if cmd_name in _MODULES:
            with _without_rich() if cmd_name in _PROCESSES else contextlib.nullcontext():
                return load_command(f"pairsim.cli.{_MODULES[cmd_name]}", cmd_name, _extras(cmd_name))
        point = next(iter(entry_points(group=_ENTRY_POINTS, name=cmd_name)), None)
        return load_command(point.module, point.attr, _extras(cmd_name)) if point is not None else None

    def invoke(self, ctx: click.Context) -> object:
        """Runs a command; explains a missing extra that the command imports late."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            raise missing_extra(error, _extras(ctx.invoked_subcommand or "")) from error


@contextlib.contextmanager
def _without_rich() -> Iterator[None]:
    """Lets structlog be imported without rich, which it would load for a renderer that processes do not use."""
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = None  # type: ignore[assignment] # an import of it fails
    try:
        yield
    finally:
        if hidden:
            del sys.modules["rich"]


def _extras(command: str) -> str:
    return _EXTRAS.get(command, "all")


@click.group(cls=_LazyGroup)
@click.version_option(package_name="pairsim")
def main() -> None:
    """Keeps a simulated world running through failures."""
