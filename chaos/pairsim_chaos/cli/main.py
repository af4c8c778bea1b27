"""The command `pairsim-chaos`, and its subcommand `lint`, which needs no world."""

from __future__ import annotations

from pathlib import Path

import click

from pairsim.model.documents.yaml import YamlError
from pairsim.wording import counted
from pairsim_chaos.cli.commands import probe_command, run_command, soak_command
from pairsim_chaos.lint.lint import lint
from pairsim_chaos.spec.yaml_source import read


@click.group()
@click.version_option(package_name="pairsim")
def main() -> None:
    """Checks Chaos Mesh experiments, runs them against a pairsim world, and judges the outcome."""


main.add_command(probe_command)
main.add_command(run_command)
main.add_command(soak_command)


@main.command("lint")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_context
def lint_command(context: click.Context, files: tuple[Path, ...]) -> None:
    """Reports what is wrong with experiment FILES.

    Each finding says what to write instead. The linter knows the schemas of Chaos Mesh, the rules of its webhook, and
    experiments that Chaos Mesh accepts although they do not work. Exit code 0: the files are correct; 1: there are
    findings; 2: a file cannot be read.
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
        for line, field, wrong, suggestion, rule in findings:
            click.echo(_printable(f"{path}:{line}: {field}: {wrong}; {suggestion} [{rule}]"))
    if found or unreadable:
        counts = [counted(found, "finding")] if found else []
        counts += [f"{unreadable} of {counted(len(files), 'file')} cannot be read"] if unreadable else []
        click.echo(", ".join(counts), err=True)
        context.exit(2 if unreadable else 1)


def _printable(text: str) -> str:
    """Escapes line breaks and control characters, so that a file cannot control the terminal."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
