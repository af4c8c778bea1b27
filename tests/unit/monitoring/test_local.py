"""`python -m grafana.local`, as a user runs it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from tests.harness import ROOT


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "grafana.local", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_it_writes_what_the_command_that_it_prints_needs(tmp_path: Path) -> None:
    done = run(str(tmp_path / "here"), "http://127.0.0.1:9999/")
    assert (done.returncode, done.stderr) == (0, "")
    program, *options = shlex.split(done.stdout)
    given = dict(option.removeprefix("--").split("=", 1) for option in options)
    assert program == "prometheus"
    configuration = yaml.safe_load(Path(given["config.file"]).read_text())
    [job] = configuration["scrape_configs"]
    assert job["job_name"] == "pairsim", "rules ask for it"
    assert [found["url"] for found in job["http_sd_configs"]] == ["http://127.0.0.1:9999/v1/targets"]
    [rules] = configuration["rule_files"]
    assert {group["name"] for group in yaml.safe_load(Path(rules).read_text())["groups"]} == {
        "pairsim-recording",
        "pairsim-alerts",
    }


def test_without_a_folder_it_says_what_it_wants() -> None:
    done = run()
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: python -m grafana.local [OPTIONS] FOLDER [WORLD]\n")


def test_a_world_that_is_no_url_is_a_usage_error(tmp_path: Path) -> None:
    done = run(str(tmp_path / "here"), "127.0.0.1:8080")
    assert done.returncode == 2
    assert "'127.0.0.1:8080' is not a URL such as http://127.0.0.1:8080" in done.stderr
    assert list(tmp_path.iterdir()) == []
