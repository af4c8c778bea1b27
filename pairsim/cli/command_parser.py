"""Commands as a user writes them: words of a command line, or JSON lines.

All of them are read before the first is sent, so that a slip in the last line changes nothing.
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
"""Of a file of lines; all of it is kept in memory."""
_DIGITS = 100
_USAGE = "a command is: OP ENTITY [NAME=VALUE[,VALUE...]]..."


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    op: str
    entity: int
    components: dict[str, Value] = {}
    id: str = ""


def from_words(words: tuple[str, ...]) -> Command:
    """One command.

    Raises:
        click.UsageError: It is none.
    """
    if len(words) < 2 or not (words[1].isascii() and words[1].isdecimal() and len(words[1]) < _DIGITS):
        raise click.UsageError(_USAGE)
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
            raise click.UsageError(f"{name} is there twice")
        components[name] = numbers if len(numbers) > 1 else numbers[0]
    if not all(text.isprintable() for text in (words[0], *components)):
        raise click.UsageError(_USAGE)
    return Command(new_id(), words[0], int(words[1]), components)


def from_file(path: Path | None) -> list[tuple[int, Command]]:
    """Commands of a file, or of standard input, each with the number of its line.

    Raises:
        click.ClickException: It cannot be read, a line is no command, or there is none.
    """
    name = str(path) if path else "standard input"
    try:
        if path is not None:
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        else:
            data = _standard_input().read(MAX_BYTES + 1)
    except OSError as error:
        raise click.ClickException(f"cannot read {name}: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise click.ClickException(f"{name} has over {MAX_BYTES >> 20} MiB: split it; nothing was sent")
    found = list(_from_lines(data.removeprefix(codecs.BOM_UTF8).split(b"\n")))
    if not found:
        raise click.ClickException(f"no commands were given: {name} is empty")
    return found


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise click.ClickException("standard input is closed: give a command, or --file")
    if sys.stdin.isatty():
        click.echo("reading commands as JSON lines, Ctrl-D ends them", err=True)
    return sys.stdin.buffer


def _from_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, Command]]:
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = msgspec.json.decode(text, type=_Line)
            for word in (line.op, line.id, *line.components):
                word.encode()
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            reason = "it holds half of a character" if isinstance(error, UnicodeEncodeError) else error
            raise click.ClickException(f"line {number} is no command: {reason}; nothing was sent") from error
        yield number, Command(line.id or new_id(), line.op, line.entity, line.components)
