"""Checks the traces, or rewrites their outputs: `python -m tests.simulation.traces [--write]`."""

from __future__ import annotations

import difflib
import logging
import sys
from pathlib import Path

import click
import structlog

from tests.simulation.traces.script import parse, render
from tests.simulation.traces.story import replay

FOLDER = Path(__file__).parent
ADVICE = "If the protocol shall behave so, run `python -m tests.simulation.traces --write` and review the diff of git."


def difference(path: Path) -> str:
    """Returns the difference between a trace and what its commands give now, with advice; empty if they agree."""
    written = path.read_text()
    found = render(replay(parse(written)))
    lines = difflib.unified_diff(written.splitlines(), found.splitlines(), path.name, "now", lineterm="")
    text = "\n".join(lines)
    return f"{text}\n{ADVICE}" if text else ""


@click.command()
@click.option("--write", is_flag=True, help="Rewrites the outputs instead of comparing them.")
def traces(write: bool) -> None:
    """Runs the commands of all traces and compares the outputs."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    wrong = False
    for path in sorted(FOLDER.glob("*.txt")):
        if write:
            path.write_text(render(replay(parse(path.read_text()))))
        elif text := difference(path):
            click.echo(text)
            wrong = True
    sys.exit(wrong)


if __name__ == "__main__":
    traces()
