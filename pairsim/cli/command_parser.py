"""The parser of commands as a user writes them: words of a command line, or JSON lines.

All lines are parsed before the first command is sent, so that a mistake in the last line changes nothing.
"""

from __future__ import annotations

import codecs
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import click
import msgspec

from pairsim.client import new_id
from pairsim.model.commands import Command, Value

MAX_BYTES = 64 * 2**20
"""The size of a file of JSON lines, all of which is kept in memory."""
_MAX_DIGITS = 100
_USAGE = "a command is: OP ENTITY [NAME=VALUE[,VALUE...]]..."


class _CommandLine(msgspec.Struct, forbid_unknown_fields=True):
    op: str
    entity: int
    components: dict[str, Value] = {}
    id: str = ""


def parse_words(words: tuple[str, ...], command_id: str | None = None) -> Command:
    """Returns the command that the words of a command line describe, with the given id or a new one.

    Raises:
        click.UsageError: The words do not describe a command.
    """
    if len(words) < 2:
        raise click.UsageError(_USAGE)
    if not (words[1].isascii() and words[1].isdecimal() and len(words[1]) < _MAX_DIGITS):
        raise click.UsageError(f"ENTITY is a whole number of 0 or more, not {words[1][:_MAX_DIGITS]!r}; {_USAGE}")
    components: dict[str, Value] = {}
    for word in words[2:]:
        name, _equals, text = word.partition("=")
        try:
            numbers = [float(number) for number in text.split(",")]
        except ValueError:
            numbers = []
        if not name or not numbers or not all(map(math.isfinite, numbers)):
            raise click.UsageError(f"{word!r} is not NAME=VALUE[,VALUE...] with numbers")
        if name in components:
            raise click.UsageError(f"{name} is there twice: give it once")
        components[name] = numbers if len(numbers) > 1 else numbers[0]
    if not all(text.isprintable() for text in (words[0], command_id or "", *components)):
        raise click.UsageError(_USAGE)
    return Command(new_id() if command_id is None else command_id, words[0], int(words[1]), components)


def read_commands(path: Path | None) -> list[tuple[int, Command]]:
    """Returns the commands of a file, or of standard input, each with the number of its line.

    Raises:
        click.ClickException: The file cannot be read, a line is not a valid command, or the file has no commands.
    """
    name = str(path) if path else "standard input"
    try:
        if path is not None:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        else:
            data = _open_standard_input().read(MAX_BYTES + 1)
    except OSError as error:
        raise click.ClickException(f"cannot read {name}: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise click.ClickException(f"{name} has over {MAX_BYTES >> 20} MiB: split it; nothing was sent")
    found = list(_parse_lines(data.removeprefix(codecs.BOM_UTF8).split(b"\n")))
    if not found:
        raise click.ClickException(f"no commands were given: {name} is empty")
    return found


def _open_standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise click.ClickException("standard input is closed: give a command, or --file")
    if sys.stdin.isatty():
        click.echo("reading commands as JSON lines; Ctrl-D ends the input", err=True)
    return sys.stdin.buffer


def _parse_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, Command]]:
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = msgspec.json.decode(text, type=_CommandLine)
            for word in (line.op, line.id, *line.components):
                word.encode()
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            reason = "it holds half of a character" if isinstance(error, UnicodeEncodeError) else error
            raise click.ClickException(f"line {number} is not a valid command: {reason}; nothing was sent") from error
        yield number, Command(line.id or new_id(), line.op, line.entity, line.components)
