"""Experiments on the engines of a world on this machine: the nodes go on, and the areas lose nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.process.chaos.attacked_worlds import EXPERIMENTS, reasons, run
from tests.process.world.running_worlds import RunningWorld

LONGEST = ("--max-duration", "4")
"""Longer than an engine may hang."""


@pytest.fixture(scope="module")
def raising(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    """Runs a world whose simulator raises on command."""
    up = RunningWorld(tmp_path_factory.mktemp("world"))
    text = up.file.read_text().replace("simulator: physics", "simulator: pairsim_chaos.raising:Raising")
    up.file.write_text(text.replace("parameters: {", "parameters: {simulator: physics, "))
    try:
        up.start()
        up.wait_for("the world is ready.*")
        up.wait_until_redundant()
        yield up
    finally:
        up.close()


@pytest.mark.parametrize("name", ["engine-hang", "engine-crash", "engine-raise"])
def test_an_engine_that_fails_costs_no_node_and_no_command(raising: RunningWorld, name: str) -> None:
    before = raising.pids()
    code, verdicts, output = run(raising, *LONGEST, str(EXPERIMENTS / f"{name}.yaml"))
    assert code == 0, (reasons(verdicts), output)
    (verdict,) = verdicts["experiments"]
    assert verdict["held"], reasons(verdicts)
    assert len(verdict["targets"]) == 1
    assert raising.pids() == before, "a node has ended"
    if name != "engine-raise":  # there, the two replicas may try the tick in turn
        assert [change["after"] not in verdict["targets"] for change in verdict["takeovers"]] == [True]


@pytest.mark.root
def test_an_engine_that_gets_few_processors_costs_no_command(raising: RunningWorld) -> None:
    code, verdicts, output = run(raising, *LONGEST, str(EXPERIMENTS / "stress-engine.yaml"))
    (verdict,) = verdicts["experiments"]
    if verdict["refused"]:
        pytest.skip(verdict["refused"])
    assert code == 0, (reasons(verdicts), output)
    assert verdict["held"]


def test_a_simulator_that_does_not_raise_on_command_is_unsupported(tmp_path_factory: pytest.TempPathFactory) -> None:
    up = RunningWorld(tmp_path_factory.mktemp("plain"))
    try:
        up.start()
        up.wait_for("the world is ready.*")
        code, verdicts, _ = run(up, str(EXPERIMENTS / "engine-raise.yaml"))
    finally:
        up.close()
    assert code == 2
    (verdict,) = verdicts["experiments"]
    assert "put pairsim_chaos.raising:Raising in front of it" in verdict["refused"]
