"""The experiments of chaos/experiments against a world on this machine: real processes, real links."""

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
from tests.process.chaos.worlds import CHAOS, EXPERIMENTS, hurt, rules, run
from tests.process.world.ups import Up, until

pytestmark = pytest.mark.root

SHORT = ("--at-most", "2")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with hurt(tmp_path_factory.mktemp("world"), "--isolate") as up:
        yield up


@pytest.mark.parametrize(
    "name",
    [
        "kill-active", "container-kill-active", "pod-failure-active", "kill-witness", "partition-active-all",
        "partition-one-way", "delay-active", "loss-active", "duplicate-active", "corrupt-active", "bandwidth-active",
        "stress-cpu-active", "stress-memory-active", "io-latency-journal", "io-fault-journal",
    ],
)  # fmt: skip
def test_everything_holds(up: Up, name: str) -> None:
    code, verdicts, told = run(up, *SHORT, str(EXPERIMENTS / f"{name}.yaml"))
    assert code == 0, (verdicts, told)
    (verdict,) = verdicts["experiments"]
    if verdict["refused"]:
        pytest.skip(verdict["refused"])  # this machine cannot make it, and says why
    assert verdict["held"]
    assert len(verdict["targets"]) == 1
    assert len(verdict["checks"]) == 7
    assert rules(up).count("PAIRSIM") == 0


def test_what_cannot_be_made_is_refused_by_name(up: Up) -> None:
    code, verdicts, _ = run(up, *(str(EXPERIMENTS / f"{name}.yaml") for name in ("clock-active", "kill-controller")))
    assert code == 2
    assert all(each["refused"] and not each["checks"] for each in verdicts["experiments"])
    assert "clock" in verdicts["experiments"][0]["refused"]
    assert "pairsim up" in verdicts["experiments"][1]["refused"]


def test_the_verdict_is_written_for_people_programs_and_ci(up: Up, tmp_path: Path) -> None:
    written, junit = tmp_path / "v.json", tmp_path / "v.xml"
    done = subprocess.run(
        [*CHAOS, "run", "--port", up.port, *SHORT, "--json", written, "--junit", junit,
         EXPERIMENTS / "kill-passive.yaml", EXPERIMENTS / "clock-active.yaml"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 experiment: all held, 1 not made here" in done.stdout
    assert "clock-active: not made here: the clock" in done.stdout
    assert '"held": true' in written.read_text()
    suites = ET.parse(junit).getroot()  # noqa: S314 - it was written here
    assert [suite.get("skipped") for suite in suites] == ["0", "1"]
    assert suites[0].get("failures") == "0"


@contextmanager
def begun(up: Up, name: str) -> Iterator[subprocess.Popen[str]]:
    """A run whose fault has been made."""
    command = [*CHAOS, "run", "--port", up.port, "--calm", "0.5", str(EXPERIMENTS / f"{name}.yaml")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("made to" in line for line in process.stdout)
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_ended_takes_back_what_it_made_however_impatient_its_user_is(
    up: Up, number: signal.Signals
) -> None:
    up.whole()
    with begun(up, "partition-active-all") as process:
        assert "PAIRSIM" in rules(up)
        assert process.stdout is not None
        answers = []
        for _ in range(3):
            process.send_signal(number)
            answers.append(process.stdout.readline())
        told = process.stdout.read()
        process.wait(30)
    assert process.returncode == 130, told
    assert "what was made is taken back" in answers[0]
    assert "wait" in answers[2]
    assert "1 WITHOUT A VERDICT" in told
    assert "PAIRSIM" not in rules(up)


def test_a_process_that_is_away_comes_back_when_the_run_is_ended(up: Up) -> None:
    up.whole()
    with begun(up, "pod-failure-active") as process:
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert process.returncode == 130
    since = time.monotonic()
    until(lambda: all(each["pid"] for each in processes(up)), "everybody runs")
    assert time.monotonic() - since < 20, "the pod would have been away for 30 s"


def test_what_a_killed_run_left_is_taken_away_by_the_next_one(up: Up) -> None:
    up.whole()
    with begun(up, "partition-active-all") as process:
        process.kill()
        process.wait(30)
    assert "PAIRSIM" in rules(up)
    with begun(up, "stress-memory-active") as process:
        assert "PAIRSIM" not in rules(up)
        process.kill()
        process.wait(30)
    left = list(Path("/sys/fs/cgroup").rglob(f"pairsim-chaos-{up.port}-*"))
    assert left
    code, verdicts, told = run(up, *SHORT, str(EXPERIMENTS / "kill-passive.yaml"))
    assert code == 0, (verdicts, told)
    assert not any(folder.exists() for folder in left)


def test_two_runs_at_once_are_refused(up: Up) -> None:
    up.whole()
    with begun(up, "delay-active"):
        code, _, told = run(up, str(EXPERIMENTS / "kill-passive.yaml"))
        assert code == 2
        assert "another `pairsim-chaos` hurts the world" in told
    up.whole()


def test_a_fault_that_goes_by_itself_has_proved_nothing(up: Up) -> None:
    up.whole()
    with begun(up, "loss-active") as process:
        shapers = psutil.Process(process.pid).children(recursive=True)
        for found in shapers:
            found.kill()
        _gone, alive = psutil.wait_procs(shapers, timeout=30)  # until the run has seen it, whose children they are
        assert not alive
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        told = process.stdout.read()
    assert "it did not last" in told


def processes(up: Up) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{up.port}/v1/processes", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_a_file_that_the_linter_would_refuse_is_not_run(up: Up, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text((EXPERIMENTS / "pod-failure-active.yaml").read_text().replace("duration: 30s", "duration: 1d"))
    code, _, told = run(up, str(bad))
    assert code == 2
    assert "'1d' is no duration" in told


def test_links_of_a_world_with_one_network_cannot_be_cut(tmp_path: Path) -> None:
    with hurt(tmp_path) as plain:
        code, verdicts, _ = run(plain, str(EXPERIMENTS / "partition-active-all.yaml"))
        assert code == 2
        assert "--isolate" in verdicts["experiments"][0]["refused"]


def test_a_world_that_is_not_there_is_told() -> None:
    command = [*CHAOS, "run", "--port", "1", "--whole", "0.5", str(EXPERIMENTS / "kill-active.yaml")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "1 experiment: 1 WITHOUT A VERDICT" in done.stdout
    assert "no world answers at http://127.0.0.1:1" in done.stdout
