"""`make planted`: plants one fault at a time and expects its test to fail."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

from tests.planted.faults import ROOT, VARIABLE, PlantedFault, read_faults

_TEST_SECONDS = 120.0


def find(name: str, fault: PlantedFault) -> str:
    """Runs the test of a fault with the fault planted; returns an empty text if it fails, else what happened."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "tests.planted.plugin", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, fault.test],
            cwd=ROOT,
            env={**os.environ, VARIABLE: name},
            capture_output=True,
            text=True,
            timeout=_TEST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return ""  # with the fault the test waits for something that never happens
    if done.returncode == pytest.ExitCode.TESTS_FAILED:
        return ""
    if done.returncode == pytest.ExitCode.OK:
        return f"{fault.test} passes with it. {fault.breaks}"
    return f"its test could not be run:\n{done.stdout}{done.stderr}"


@click.command()
@click.argument("names", nargs=-1)
def main(names: tuple[str, ...]) -> None:
    """Plants all faults, or those whose names begin with one of NAMES."""
    faults = {name: fault for name, fault in read_faults().items() if not names or name.startswith(names)}
    if not faults:
        raise click.UsageError("no planted fault has such a name")
    survived = 0
    for name, fault in faults.items():
        problem = find(name, fault)
        survived += bool(problem)
        click.echo(f"SURVIVED  {name}: {problem}" if problem else f"found     {name}")
    click.echo(f"{len(faults) - survived} of {len(faults)} planted faults are found")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
