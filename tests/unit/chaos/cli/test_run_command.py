"""Errors that `run` reports before the first fault, and how verdicts are written."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pairsim_chaos.cli.commands import write_report
from pairsim_chaos.cli.main import main
from pairsim_chaos.verdict.checks import Check, Verdict

FILE = Path(__file__).parents[4] / "chaos" / "experiments" / "kill-active.yaml"
GOOD = [Verdict(experiment="good", made=True, checks=(Check("it", held=True, figure="yes"),))]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["/dev/zero"], "the file has over 512 KiB"),
        (["/nowhere.yaml"], "the file cannot be read"),
        ([str(FILE), "--json", "/nowhere/v.json"], "/nowhere/v.json cannot be written"),
        ([str(FILE), "--junit", "/"], "/ cannot be written: it is a folder"),
        ([str(FILE), "--junit", "-"], "--junit needs a file"),
        ([str(FILE), "--recovery-timeout", "nan"], "is not a number of seconds"),
        ([str(FILE), "--whole", "nan"], "is not a number of seconds"),
        ([str(FILE), "--calm", "nan"], "is not a number of seconds"),
        ([str(FILE), "--at-most", "nan"], "is not a number of seconds"),
        ([str(FILE), "--max-duration", "inf"], "is not a number of seconds"),
    ],
)
def test_unusable_files_and_options_are_reported_at_once(words: list[str], message: str) -> None:
    done = CliRunner().invoke(main, ["run", "--port", "1", *words])
    assert (done.exit_code, message in done.stderr) == (2, True), done.output


def test_a_soak_in_a_cluster_is_refused() -> None:
    done = CliRunner().invoke(main, ["soak", "--cluster", str(FILE)])
    assert (done.exit_code, "a soak needs a world on this machine" in done.stderr) == (2, True), done.output


def test_a_soak_of_files_without_a_single_fault_is_refused() -> None:
    done = CliRunner().invoke(main, ["soak", "--port", "1", str(FILE.with_name("game-day.yaml"))])
    assert (done.exit_code, "these files hold no single fault" in done.stderr) == (2, True), done.output


def test_a_verdict_replaces_an_older_file(tmp_path: Path) -> None:
    for name in ("v.json", "v.xml"):
        (tmp_path / name).write_text("older")
    assert write_report(GOOD, tmp_path / "v.json", tmp_path / "v.xml")
    assert '"held": true' in (tmp_path / "v.json").read_text()
    assert (tmp_path / "v.xml").read_text().startswith("<?xml")
    assert {path.name for path in tmp_path.iterdir()} == {"v.json", "v.xml"}


def test_a_file_that_cannot_be_written_does_not_prevent_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not write_report(GOOD, Path("/dev/full"), tmp_path / "v.xml")
    assert "/dev/full cannot be written: No space left on device" in capsys.readouterr().err
    assert (tmp_path / "v.xml").exists()


def test_a_full_disk_leaves_the_older_verdict_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = tmp_path / "v.json"
    older.write_text("older")

    def full(_path: Path, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert not write_report(GOOD, older, None)
    assert older.read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]


def test_a_closed_terminal_does_not_keep_the_verdicts_from_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w", buffering=1) as closed:
        monkeypatch.setattr("sys.stdout", closed)
        assert write_report(GOOD, tmp_path / "v.json", None)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            closed.close()
    assert '"held": true' in (tmp_path / "v.json").read_text()


def test_a_run_on_this_machine_does_not_load_the_kubernetes_client() -> None:
    code = "import sys, pairsim_chaos.cli.commands; print('kubernetes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "False\n"
