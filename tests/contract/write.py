"""Writes the golden files anew: `python -m tests.contract.write`, optionally with the names of some of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from tests.contract import golden
from tests.contract.files import keep_checkpoint
from tests.contract.goldens import GOLDENS


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(GOLDENS)))
def main(names: tuple[str, ...]) -> None:
    """Writes the files of these names, or all of them; a checkpoint that is there is kept as it is."""
    with tempfile.TemporaryDirectory() as folder:
        keep_checkpoint(Path(folder))
    for name in names or GOLDENS:
        with tempfile.TemporaryDirectory() as folder:
            changed = golden.write(name, GOLDENS[name](Path(folder)))
        click.echo(f"{name}: {'written' if changed else 'as it was'}")


if __name__ == "__main__":
    main()
