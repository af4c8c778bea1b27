"""A world under attack: `pairsim up --isolate`, and `pairsim-chaos run` beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pairsim_controller.local.netns import NetworkError, NetworkNamespaces, remove_leftovers
from tests.harness import ROOT
from tests.process.world.running_worlds import RunningWorld

CHAOS = (sys.executable, "-m", "pairsim_chaos")
EXPERIMENTS = ROOT / "chaos" / "experiments"


@contextmanager
def running_world(folder: Path, *words: str, planted: str = "") -> Iterator[RunningWorld]:
    """Starts a redundant world; all of its processes run the Python code `planted` before any other code."""
    try:
        NetworkNamespaces().close()
    except NetworkError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        if planted:
            plants = folder / "plants"
            plants.mkdir()
            (plants / "sitecustomize.py").write_text(planted)
            patch.setenv("PYTHONPATH", f"{plants}:{ROOT}")
        world = RunningWorld(folder)
        try:
            world.start(*words)
            world.wait_for("the world is ready.*")
            world.wait_until_redundant()
            yield world
        finally:
            world.close()
            remove_leftovers()


def run(world: RunningWorld, *words: str, seconds: float = 120.0) -> tuple[int, dict[str, Any], str]:
    """Runs experiments, and returns the exit code, the verdicts as JSON, and the other output."""
    done = subprocess.run(
        [*CHAOS, "run", "--port", world.port, "--seed", "1", "--calm", "0.5", "--json", "-", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    try:
        return done.returncode, json.loads(done.stdout), done.stderr
    except ValueError:
        return done.returncode, {}, done.stdout + done.stderr


def failed(verdicts: dict[str, Any]) -> set[str]:
    """Returns the names of the checks that did not hold."""
    return {check["name"] for each in verdicts["experiments"] for check in each["checks"] if not check["held"]}


def rules(world: RunningWorld) -> str:
    """Returns the iptables rules in the networks of all processes."""
    found = []
    for path in Path("/run/netns").glob("pairsim-world-*"):
        done = subprocess.run(
            ["nsenter", f"--net={path}", "--", "iptables", "-w", "-S"], capture_output=True, text=True, check=True
        )
        found.append(done.stdout)
    return "".join(found)
