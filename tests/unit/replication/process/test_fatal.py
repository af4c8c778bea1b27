"""A process that ends itself names the reason in its last line."""

from __future__ import annotations

import subprocess
import sys

CODE = """
from pairsim.replication.process.fatal import exit_process

def step():
    raise AssertionError("a\\nlong\\nstory")

try:
    step()
except AssertionError as error:
    exit_process("the simulator walker:Walker raised", error, during="tick 812, with command 9f (push of entity 7)")
"""


def test_the_process_ends_even_when_the_log_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device, as a shell would redirect to it
        done = subprocess.run([sys.executable, "-c", CODE], stdout=full, stderr=full, timeout=30, check=False)
    assert done.returncode == 70


def test_the_last_line_names_the_error_and_its_place() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 70
    assert done.stderr.splitlines()[-1] == (
        "the simulator walker:Walker raised AssertionError: a long story at <string>:5"
        " in tick 812, with command 9f (push of entity 7)"
    )
    assert "Traceback (most recent call last)" in done.stderr, "the traceback stands above the last line"
