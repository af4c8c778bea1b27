"""`pairsim-chaos`: experiments for Chaos Mesh, checked before they meet a cluster."""

from __future__ import annotations

from pathlib import Path

import click

from pairsim.model.documents.yaml import YamlError
from pairsim_chaos.cli.commands import probe_command, run_command, soak_command
from pairsim_chaos.lint.lint import lint
from pairsim_chaos.spec.yaml_source import read


@click.group()
@click.version_option(package_name="pairsim")
def main() -> None:
    """Experiments with failures, in the words of Chaos Mesh."""


main.add_command(probe_command)
main.add_command(run_command)
main.add_command(soak_command)


@main.command("lint")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_context
def lint_command(context: click.Context, files: tuple[Path, ...]) -> None:
    """Says what is wrong with experiment FILES, and what to write instead.

    It knows the schemas of Chaos Mesh, what its webhook refuses, and what it accepts though it is wrong. Exit code 0:
    nothing is wrong; 1: something is; 2: a file cannot be read.
    """
    found = unreadable = 0
    for path in files:
        try:
            findings = lint(read(path))
        except YamlError as error:
            unreadable += 1
            where = f"{path}:{error.line}" if error.line else f"{path}"
            click.echo(_printable(f"{where}: {error}"), err=True)
            continue
        found += len(findings)
        for line, field, wrong, instead, rule in findings:
            click.echo(_printable(f"{path}:{line}: {field}: {wrong}; {instead} [{rule}]"))
    if found or unreadable:
        told = [f"{found} finding{'s' * (found != 1)}"] if found else []
        told += [f"{unreadable} of {len(files)} files cannot be read"] if unreadable else []
        click.echo(", ".join(told), err=True)
        context.exit(2 if unreadable else 1)


def _printable(text: str) -> str:
    """On one line, and without what would steer the terminal."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
