"""A world that experiments attack: `pairsim up --isolate`, and `pairsim-chaos run` beside it."""

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
LAGS_AND_TAKES_OVER = """
apiVersion: chaos-mesh.org/v1alpha1
kind: Workflow
metadata: {name: lag-and-kill}
spec:
  entry: both
  templates:
    - {name: both, templateType: Parallel, deadline: 20s, children: [cut, then]}
    - name: cut
      templateType: NetworkChaos
      deadline: 6s
      networkChaos:
        action: partition
        direction: both
        mode: all
        selector: {labelSelectors: {pairsim.io/role: active}}
        target: {mode: all, selector: {labelSelectors: {pairsim.io/role: passive}}}
    - {name: then, templateType: Serial, deadline: 15s, children: [pause, kill]}
    - {name: pause, templateType: Suspend, deadline: 500ms}
    - name: kill
      templateType: PodChaos
      deadline: 4s
      podChaos:
        action: container-kill
        containerNames: [simulator]
        mode: all
        selector: {labelSelectors: {pairsim.io/role: active}}
"""


@contextmanager
def attacked_world(folder: Path, *words: str, planted: str = "", simulator: str = "physics") -> Iterator[RunningWorld]:
    """Yields a redundant world; all of its nodes run the Python code `planted` before anything else."""
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
        up = RunningWorld(folder)
        up.file.write_text(up.file.read_text().replace("simulator: physics", f"simulator: {simulator}"))
        try:
            up.start(*words)
            up.wait_for("the world is ready.*")
            up.wait_until_redundant()
            yield up
        finally:
            up.close()
            remove_leftovers()


def run(up: RunningWorld, *words: str, seconds: float = 120.0) -> tuple[int, dict[str, Any], str]:
    """Runs experiments; returns the exit code, the verdicts as JSON, and all other output."""
    done = subprocess.run(
        [*CHAOS, "run", "--port", up.port, "--seed", "1", "--warm-up", "0.5", "--json", "-", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    try:
        return done.returncode, json.loads(done.stdout), done.stderr
    except ValueError:
        return done.returncode, {}, done.stdout + done.stderr


def failed(verdicts: dict[str, Any]) -> set[str]:
    """Returns the names of the checks that did not hold."""
    return {check["name"] for each in verdicts["experiments"] for check in each["checks"] if not check["held"]}


def rules(up: RunningWorld) -> str:
    """Returns the rules of iptables in the networks of all processes."""
    listed = []
    for path in Path("/run/netns").glob("pairsim-world-*"):
        done = subprocess.run(
            ["nsenter", f"--net={path}", "--", "iptables", "-w", "-S"], capture_output=True, text=True, check=True
        )
        listed.append(done.stdout)
    return "".join(listed)


def reasons(verdicts: dict[str, Any]) -> list[str]:
    """Returns why experiments did not hold, one short sentence each."""
    found = [each["failed"] or each["refused"] for each in verdicts.get("experiments", [])]
    found += [
        f"{check['name']}: {reason}"
        for each in verdicts.get("experiments", [])
        for check in each["checks"]
        for reason in check["reasons"]
    ]
    return list(filter(None, found))
