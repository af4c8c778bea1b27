"""The command line. Commands are loaded when they are called, so that a simulator process stays small."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "up": "world",
    "status": "status",
    "send": "send",
    "switchover": "orders",
    "kill": "orders",
    "simulator": "processes",
    "witness": "processes",
    "leave": "leave",
    "install": "install",
}


class _Lazy(click.Group):
    """Finds a command's module by its name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"pairsim.cli.{_COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=_Lazy)
@click.version_option(package_name="pairsim")
def main() -> None:
    """Keeps a simulated world running through failures."""
