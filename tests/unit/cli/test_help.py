"""The help texts of the commands."""

from __future__ import annotations

import click
import pytest

from pairsim.cli import main
from tests.unit.cli.local_world import pairsim

COMMANDS = main.list_commands(click.Context(main))


def test_every_command_is_listed_with_a_whole_sentence() -> None:
    told = pairsim("--help").stdout
    assert "..." not in told.partition("Commands:")[2]
    assert [line.split()[0] for line in told.partition("Commands:")[2].strip().splitlines()] == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    options = [option for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not option.help] == []
