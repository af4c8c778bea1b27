"""`make planted`: plants one fault at a time and expects its test to fail.

Each test runs in a process of its own, which is forked from this one: so the libraries that most modules of the product
import are loaded once, while the product itself is imported anew for each fault.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

import click
import pytest

from tests.planted.faults import ROOT, VARIABLE, PlantedFault, read_faults

_TEST_SECONDS = 120.0
_LIBRARIES = (
    "aiohttp.web",
    "hypothesis",
    "msgspec",
    "numpy",
    "pysyncobj.syncobj",
    "pytest_asyncio",
    "structlog",
    "xxhash",
)


def run_test(name: str, fault: PlantedFault, output: Path) -> None:
    """Runs the test of a fault in this process, with the fault planted, and exits with pytest's exit code."""
    file = os.open(output, os.O_WRONLY)
    for standard in (1, 2):
        os.dup2(file, standard)
    os.environ[VARIABLE] = name
    sys.exit(pytest.main(["-q", "-x", "-p", "tests.planted.plugin", "-p", "no:cacheprovider", fault.test]))


def find(name: str, fault: PlantedFault) -> str:
    """Runs the test of a fault with the fault planted; returns an empty text if it fails, else what happened."""
    with tempfile.NamedTemporaryFile() as output:
        path = Path(output.name)
        process = multiprocessing.get_context("fork").Process(target=run_test, args=(name, fault, path))
        process.start()
        process.join(_TEST_SECONDS)
        if process.exitcode is None:
            process.kill()
            process.join()
            return ""  # with the fault the test waits for something that never happens
        printed = path.read_text()
    if process.exitcode == pytest.ExitCode.TESTS_FAILED:
        return ""
    if process.exitcode == pytest.ExitCode.OK:
        return f"{fault.test} passes with it. {fault.breaks}"
    return f"its test could not be run:\n{printed}"


@click.command()
@click.argument("names", nargs=-1)
def main(names: tuple[str, ...]) -> None:
    """Plants all faults, or those whose names begin with one of NAMES."""
    faults = {name: fault for name, fault in read_faults().items() if not names or name.startswith(names)}
    if not faults:
        raise click.UsageError("no planted fault has such a name")
    os.chdir(ROOT)
    for library in _LIBRARIES:
        importlib.import_module(library)
    survived = 0
    for name, fault in faults.items():
        problem = find(name, fault)
        survived += bool(problem)
        click.echo(f"SURVIVED  {name}: {problem}" if problem else f"found     {name}")
    click.echo(f"{len(faults) - survived} of {len(faults)} planted faults are found")
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
