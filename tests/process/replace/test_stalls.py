"""`pairsim up` replaces a replica that runs, votes and answers, but cannot catch up."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim_controller.local.netns import NetworkError, NetworkNamespaces, remove_leftovers
from tests.fault_planting import PLANT_ON_IMPORT
from tests.harness import ROOT
from tests.process.links.namespaces import missing
from tests.process.world.running_worlds import WORLD, RunningWorld, until

pytestmark = pytest.mark.root

SHORT_PATIENCE = """
MODULE = "pairsim_controller.plan.progress"
def plant(progress):
    progress.STALLED_AFTER_SECONDS = 10.0
"""
_REPLACED_WITHIN_SECONDS = 60.0
_LARGEST_SMALL_PACKET = 1_200
"""Bytes. Records, votes and pings are smaller, frames of a state of 2,000 entities larger."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningWorld]:
    """A world whose controller waits for ten seconds in place of a minute."""
    if reason := missing():
        pytest.skip(reason)
    try:
        NetworkNamespaces().close()
    except NetworkError as error:
        pytest.skip(str(error))
    (tmp_path / "sitecustomize.py").write_text(SHORT_PATIENCE + PLANT_ON_IMPORT)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    made = RunningWorld(tmp_path)
    made.file.write_text(WORLD.replace("entities: 50", "entities: 2000"))
    try:
        yield made
    finally:
        made.close()
        remove_leftovers()


def block_state_stream(world: RunningWorld, source: str, target: str) -> None:
    """Drops large packets from one process to another: the links of their Raft group go on."""
    with urllib.request.urlopen(f"http://127.0.0.1:{world.port}/v1/processes", timeout=10) as answer:
        found = {each["process"]: each for each in json.load(answer)}
    address = found[source]["peer"].rpartition(":")[0]
    subprocess.run(
        [
            "nsenter", f"--net={found[target]['network']}", "--", "iptables", "-w", "-A", "INPUT", "-s", address,
            "-m", "length", "--length", f"{_LARGEST_SMALL_PACKET}:65535", "-j", "DROP",
        ],
        check=True, capture_output=True, timeout=20,
    )  # fmt: skip


def test_a_passive_that_cannot_catch_up_is_replaced_by_the_spare(world: RunningWorld) -> None:
    world.start("--isolate")
    world.wait_for("the world is ready.*")
    status = world.wait_until_redundant()
    active, passive = (replica.replica for replica in status.areas[0].replicas)
    spare = status.spares[0].name
    began = len(world.messages())
    block_state_stream(world, active, passive)
    world.wait_for(r"west: not redundant for \d+ s: .*", began)
    pair = f"{active} and {spare}"
    reason = rf"{passive} runs, but has made no progress for 1\d s"
    until(
        lambda: any(f"generation 2: {pair}" in line for line in world.messages(began)),
        "the passive is replaced",
        lambda: world.messages(began),
        _REPLACED_WITHIN_SECONDS,
    )
    world.wait_for(rf"west: generation 2: {pair}, witness witness-1 \({reason}\)", began)
    world.wait_for(rf"west: redundant again after \d+\.\d\d s: {active} \(active\) and {spare} \(passive\), .*", began)
    released = world.wait_until_redundant()
    assert [each.name for each in released.spares] == [passive]
