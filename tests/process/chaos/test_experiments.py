"""The experiments of chaos/experiments against a world of real processes and links on this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest

from tests.harness import ROOT
from tests.process.chaos.worlds import CHAOS, EXPERIMENTS, rules, run, running_world
from tests.process.world.running_worlds import RunningWorld, until

pytestmark = pytest.mark.root

SHORT = ("--at-most", "2")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    with running_world(tmp_path_factory.mktemp("world"), "--isolate") as world:
        yield world


@pytest.mark.parametrize(
    "name",
    [
        "kill-active", "container-kill-active", "pod-failure-active", "kill-witness", "partition-active-all",
        "partition-one-way", "delay-active", "loss-active", "duplicate-active", "corrupt-active", "bandwidth-active",
        "stress-cpu-active", "stress-memory-active", "io-latency-journal", "io-fault-journal",
    ],
)  # fmt: skip
def test_every_check_holds(world: RunningWorld, name: str) -> None:
    code, verdicts, output = run(world, *SHORT, str(EXPERIMENTS / f"{name}.yaml"))
    assert code == 0, (verdicts, output)
    (verdict,) = verdicts["experiments"]
    if verdict["refused"]:
        pytest.skip(verdict["refused"])  # this machine cannot inject the fault
    assert verdict["held"]
    assert len(verdict["targets"]) == 1
    assert len(verdict["checks"]) == 7
    assert rules(world).count("PAIRSIM") == 0


def test_an_unsupported_fault_is_refused_with_the_reason(world: RunningWorld) -> None:
    code, verdicts, _ = run(world, *(str(EXPERIMENTS / f"{name}.yaml") for name in ("clock-active", "kill-controller")))
    assert code == 2
    assert all(each["refused"] and not each["checks"] for each in verdicts["experiments"])
    assert "clock" in verdicts["experiments"][0]["refused"]
    assert "pairsim up" in verdicts["experiments"][1]["refused"]


def test_the_verdict_is_written_for_people_programs_and_ci(world: RunningWorld, tmp_path: Path) -> None:
    written, junit = tmp_path / "v.json", tmp_path / "v.xml"
    done = subprocess.run(
        [*CHAOS, "run", "--port", world.port, *SHORT, "--json", written, "--junit", junit,
         EXPERIMENTS / "kill-passive.yaml", EXPERIMENTS / "clock-active.yaml"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 experiment: all held, 1 not made here" in done.stdout
    assert "clock-active: not made here: the clock" in done.stdout
    assert '"held": true' in written.read_text()
    suites = ET.parse(junit).getroot()  # noqa: S314 - the test itself wrote the file
    assert [suite.get("skipped") for suite in suites] == ["0", "1"]
    assert suites[0].get("failures") == "0"


@contextmanager
def begun(world: RunningWorld, name: str) -> Iterator[subprocess.Popen[str]]:
    """Starts a run and waits until its fault is injected."""
    command = [*CHAOS, "run", "--port", world.port, "--calm", "0.5", str(EXPERIMENTS / f"{name}.yaml")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("made to" in line for line in process.stdout)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_rolls_back_its_faults_even_if_it_is_interrupted_again(
    world: RunningWorld, number: signal.Signals
) -> None:
    world.wait_until_redundant()
    with begun(world, "partition-active-all") as process:
        assert "PAIRSIM" in rules(world)
        assert process.stdout is not None
        answers = []
        for _ in range(3):
            process.send_signal(number)
            answers.append(process.stdout.readline())
        output = process.stdout.read()
        process.wait(30)
    assert process.returncode == 130, output
    assert "what was made is taken back" in answers[0]
    assert "wait" in answers[2]
    assert "1 WITHOUT A VERDICT" in output
    assert "PAIRSIM" not in rules(world)


def test_an_interrupted_run_restarts_the_process_that_it_stopped(world: RunningWorld) -> None:
    world.wait_until_redundant()
    with begun(world, "pod-failure-active") as process:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert process.returncode == 130
    since = time.monotonic()
    until(lambda: all(each["pid"] for each in processes(world)), "all processes run")
    assert time.monotonic() - since < 20, "the fault itself would have lasted for 30 s"


def test_the_next_run_removes_what_a_killed_run_left(world: RunningWorld) -> None:
    world.wait_until_redundant()
    with begun(world, "partition-active-all") as process:
        process.kill()
        process.wait(30)
    assert "PAIRSIM" in rules(world)
    with begun(world, "stress-memory-active") as process:
        assert "PAIRSIM" not in rules(world)
        process.kill()
        process.wait(30)
    left = list(Path("/sys/fs/cgroup").rglob(f"pairsim-chaos-{world.port}-*"))
    assert left
    code, verdicts, output = run(world, *SHORT, str(EXPERIMENTS / "kill-passive.yaml"))
    assert code == 0, (verdicts, output)
    assert not any(folder.exists() for folder in left)


def test_two_runs_at_once_are_refused(world: RunningWorld) -> None:
    world.wait_until_redundant()
    with begun(world, "delay-active"):
        code, _, output = run(world, str(EXPERIMENTS / "kill-passive.yaml"))
        assert code == 2
        assert "another `pairsim-chaos` hurts the world" in output
    world.wait_until_redundant()


def test_a_fault_that_ends_early_proves_nothing(world: RunningWorld) -> None:
    world.wait_until_redundant()
    with begun(world, "loss-active") as process:
        shapers = psutil.Process(process.pid).children(recursive=True)
        for found in shapers:
            found.kill()
        _gone, alive = psutil.wait_procs(
            shapers, timeout=30
        )  # the run is their parent, so they are gone once it has noticed
        assert not alive
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        output = process.stdout.read()
    assert "it did not last" in output


def processes(world: RunningWorld) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{world.port}/v1/processes", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_a_file_that_the_linter_would_refuse_is_not_run(world: RunningWorld, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text((EXPERIMENTS / "pod-failure-active.yaml").read_text().replace("duration: 30s", "duration: 1d"))
    code, _, output = run(world, str(bad))
    assert code == 2
    assert "'1d'" in output


def test_links_of_a_world_with_one_network_cannot_be_cut(tmp_path: Path) -> None:
    with running_world(tmp_path) as plain:
        code, verdicts, _ = run(plain, str(EXPERIMENTS / "partition-active-all.yaml"))
        assert code == 2
        assert "--isolate" in verdicts["experiments"][0]["refused"]


def test_an_unreachable_world_is_reported() -> None:
    command = [*CHAOS, "run", "--port", "1", "--whole", "0.5", str(EXPERIMENTS / "kill-active.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "1 experiment: 1 WITHOUT A VERDICT" in done.stdout
    assert "no world answers at http://127.0.0.1:1" in done.stdout
