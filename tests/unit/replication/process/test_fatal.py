"""A process that ends itself names the reason in its last line."""

from __future__ import annotations

import subprocess
import sys

OWN = """
from pairsim.replication.process.fatal import exit_process

def turn():
    raise AssertionError("a\\nlong\\nstory")

try:
    turn()
except AssertionError as error:
    exit_process("the replica thread failed", error, during="tick 812, in perceive")
"""


def lines_of(code: str) -> list[str]:
    """Returns what a process writes to standard error that ends itself."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 70
    return done.stderr.splitlines()


def test_the_process_ends_even_when_the_log_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device, as a shell would redirect to it
        done = subprocess.run([sys.executable, "-c", OWN], stdout=full, stderr=full, timeout=30, check=False)
        assert done.returncode == 70


def test_the_last_line_names_the_error_and_its_place() -> None:
    lines = lines_of(OWN)
    assert lines[-1] == (
        "the replica thread failed: AssertionError: a long story at <string>:5 in tick 812, in perceive"
    )
    assert "Traceback (most recent call last):" in lines, "the traceback stands above the last line"
