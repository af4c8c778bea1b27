"""Standard output of a process that runs on when nothing reads it any more.

A terminal may be closed and a pipe may break while a process has work to do.
"""

from __future__ import annotations

import contextlib

import click


def print_line(text: str) -> None:
    """Prints a line to standard output at once; the line is lost if standard output cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        click.echo(text)
