"""The experiments of chaos/experiments against a world on this machine, with real processes and links."""

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
from tests.process.chaos.attacked_worlds import (
    CHAOS,
    EXPERIMENTS,
    LAGS_AND_TAKES_OVER,
    attacked_world,
    reasons,
    rules,
    run,
)
from tests.process.world.running_worlds import RunningWorld, until

pytestmark = pytest.mark.root

SHORT = ("--max-duration", "1")
"""Several times what an election takes."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    with attacked_world(tmp_path_factory.mktemp("world"), "--isolate") as up:
        yield up


@pytest.mark.parametrize(
    "name",
    [
        "kill-active", "container-kill-active", "pod-failure-active", "kill-witness", "partition-active-all",
        "partition-one-way", "delay-active", "loss-active", "duplicate-active", "corrupt-active", "bandwidth-active",
        "stress-cpu-active", "stress-memory-active", "io-latency-journal", "io-fault-journal",
    ],
)  # fmt: skip
def test_all_invariants_hold(up: RunningWorld, name: str) -> None:
    code, verdicts, output = run(up, *SHORT, str(EXPERIMENTS / f"{name}.yaml"))
    assert code == 0, (reasons(verdicts), output)
    (verdict,) = verdicts["experiments"]
    if verdict["refused"]:
        pytest.skip(verdict["refused"])  # this machine does not support the fault, and reports why
    assert verdict["held"]
    assert len(verdict["targets"]) == 1
    assert len(verdict["checks"]) == 7
    assert rules(up).count("PAIRSIM") == 0


def test_a_lagging_passive_that_takes_over_has_the_same_states(up: RunningWorld, tmp_path: Path) -> None:
    file = tmp_path / "lag-and-kill.yaml"
    file.write_text(LAGS_AND_TAKES_OVER)
    code, verdicts, output = run(up, str(file))
    assert code == 0, (reasons(verdicts), output)


def test_an_unsupported_experiment_is_refused_with_its_reason(up: RunningWorld) -> None:
    code, verdicts, _ = run(up, *(str(EXPERIMENTS / f"{name}.yaml") for name in ("clock-active", "kill-controller")))
    assert code == 2
    assert all(each["refused"] and not each["checks"] for each in verdicts["experiments"])
    assert "clock" in verdicts["experiments"][0]["refused"]
    assert "pairsim up" in verdicts["experiments"][1]["refused"]


def test_the_verdict_is_reported_as_table_json_and_junit(up: RunningWorld, tmp_path: Path) -> None:
    written, junit = tmp_path / "v.json", tmp_path / "v.xml"
    done = subprocess.run(
        [*CHAOS, "run", "--port", up.port, *SHORT, "--json", written, "--junit", junit,
         EXPERIMENTS / "kill-passive.yaml", EXPERIMENTS / "clock-active.yaml"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 experiment: all held, 1 not supported here" in done.stdout
    assert "clock-active: not supported here: only Chaos Mesh's daemon can shift the clock" in done.stdout
    assert '"held": true' in written.read_text()
    suites = ET.parse(junit).getroot()  # noqa: S314 - the file was written by this test
    assert [suite.get("skipped") for suite in suites] == ["0", "1"]
    assert suites[0].get("failures") == "0"


@contextmanager
def injected(up: RunningWorld, name: str) -> Iterator[subprocess.Popen[str]]:
    """Yields a run whose fault has been injected."""
    command = [*CHAOS, "run", "--port", up.port, "--warm-up", "0.5", str(EXPERIMENTS / f"{name}.yaml")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("injected into" in line for line in process.stdout)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_aborted_run_removes_its_fault_despite_repeated_signals(up: RunningWorld, number: signal.Signals) -> None:
    up.wait_until_redundant()
    with injected(up, "partition-active-all") as process:
        assert "PAIRSIM" in rules(up)
        assert process.stdout is not None
        answers = []
        for _ in range(3):
            process.send_signal(number)
            answers.append(process.stdout.readline())
        output = process.stdout.read()
        process.wait(30)
    assert process.returncode == 130, output
    assert "the injected fault is being removed" in answers[0]
    assert "please wait" in answers[2]
    assert "1 NO VERDICT" in output
    assert "PAIRSIM" not in rules(up)


def test_a_process_that_is_down_restarts_when_the_run_is_aborted(up: RunningWorld) -> None:
    up.wait_until_redundant()
    with injected(up, "pod-failure-active") as process:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert process.returncode == 130
    since = time.monotonic()
    until(lambda: all(each["pid"] for each in processes(up)), "all processes run")
    assert time.monotonic() - since < 20, "without the abort, the pod is down for 30 s"


def test_the_next_run_removes_the_leftovers_of_a_killed_run(up: RunningWorld) -> None:
    up.wait_until_redundant()
    with injected(up, "partition-active-all") as process:
        process.kill()
        process.wait(30)
    assert "PAIRSIM" in rules(up)
    with injected(up, "stress-memory-active") as process:
        assert "PAIRSIM" not in rules(up)
        process.kill()
        process.wait(30)
    left = list(Path("/sys/fs/cgroup").rglob(f"pairsim-chaos-{up.port}-*"))
    assert left
    code, verdicts, output = run(up, *SHORT, str(EXPERIMENTS / "kill-passive.yaml"))
    assert code == 0, (reasons(verdicts), output)
    assert not any(folder.exists() for folder in left)


def test_a_second_concurrent_run_is_refused(up: RunningWorld) -> None:
    up.wait_until_redundant()
    with injected(up, "delay-active"):
        code, _, output = run(up, str(EXPERIMENTS / "kill-passive.yaml"))
        assert code == 2
        assert "another `pairsim-chaos` attacks the world" in output
    up.wait_until_redundant()


def test_a_fault_that_ends_by_itself_proves_nothing(up: RunningWorld) -> None:
    up.wait_until_redundant()
    with injected(up, "loss-active") as process:
        shapers = psutil.Process(process.pid).children(recursive=True)
        for found in shapers:
            found.kill()
        _gone, alive = psutil.wait_procs(shapers, timeout=30)  # until the run, their parent, has reaped them
        assert not alive
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        output = process.stdout.read()
    assert "the fault did not last" in output


def processes(up: RunningWorld) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/v1/processes", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_a_file_with_findings_is_not_run(up: RunningWorld, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text((EXPERIMENTS / "pod-failure-active.yaml").read_text().replace("duration: 30s", "duration: 1d"))
    code, _, output = run(up, str(bad))
    assert code == 2
    assert "'1d' is not a duration" in output


def test_a_missing_world_is_reported() -> None:
    command = [*CHAOS, "run", "--port", "1", "--recovery-timeout", "0.5", str(EXPERIMENTS / "kill-active.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "1 experiment: 1 NO VERDICT" in done.stdout
    assert "no world answers at http://127.0.0.1:1" in done.stdout
