"""The command line of pairsim.

A command's module is imported when the command is called, so that a simulator process stays small. Other packages add
commands by entry points of the group `pairsim.commands`; `up` comes from the controller that way, so that nothing here
imports the controller.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

import click

_COMMANDS = {
    "status": "status",
    "send": "send",
    "switchover": "area_actions",
    "kill": "area_actions",
    "simulator": "processes",
    "witness": "processes",
    "leave": "leave",
    "install": "install",
}
_GROUP = "pairsim.commands"


class _LazyGroup(click.Group):
    """Imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Lists the commands of other packages first: `up` is where a new user starts."""
        others = sorted(point.name for point in entry_points(group=_GROUP) if point.name not in _COMMANDS)
        return [*others, *_COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command's module."""
        if cmd_name in _COMMANDS:
            command = getattr(importlib.import_module(f"pairsim.cli.{_COMMANDS[cmd_name]}"), cmd_name)
        else:
            command = next((point.load() for point in entry_points(group=_GROUP, name=cmd_name)), None)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_LazyGroup)
@click.version_option(package_name="pairsim")
def main() -> None:
    """Keeps a simulated world running through failures."""
