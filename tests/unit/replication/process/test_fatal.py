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

SENTENCE = "the simulator walker:Walker raised KeyError: 'push' at /plugins/walker.py:14"

OF_THE_SIMULATOR = f"""
from pairsim.engine.port import EngineRaisedError
from pairsim.replication.process.fatal import exit_process

try:
    raise EngineRaisedError(
        "{SENTENCE}",
        'Traceback (most recent call last):\\n  File "/plugins/walker.py", line 14, in step\\nKeyError: \\'push\\'\\n',
    )
except EngineRaisedError as error:
    exit_process("the replica thread failed", error, during="tick 812, with command 9f (push of entity 7)")
"""


def lines_of(code: str) -> list[str]:
    """Returns what a process writes to standard error that ends itself."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 70
    return done.stderr.splitlines()


def test_the_process_ends_even_when_the_log_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device, as a shell would redirect to it
        for code in (OWN, OF_THE_SIMULATOR):
            done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=full, timeout=30, check=False)
            assert done.returncode == 70


def test_the_last_line_names_the_error_and_its_place() -> None:
    lines = lines_of(OWN)
    assert lines[-1] == (
        "the replica thread failed: AssertionError: a long story at <string>:5 in tick 812, in perceive"
    )
    assert "Traceback (most recent call last):" in lines, "the traceback stands above the last line"


def test_the_last_lines_of_a_simulator_that_raised_are_about_the_authors_code() -> None:
    assert lines_of(OF_THE_SIMULATOR)[-4:] == [
        "Traceback (most recent call last):",
        '  File "/plugins/walker.py", line 14, in step',
        "KeyError: 'push'",
        f"{SENTENCE} in tick 812, with command 9f (push of entity 7)",
    ]
