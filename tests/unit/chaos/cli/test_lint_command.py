"""The output and the exit codes of `pairsim-chaos lint`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pairsim_chaos.cli.main import main

GOOD = Path(__file__).parents[4] / "chaos" / "experiments" / "kill-active.yaml"


def lint(*paths: Path) -> Result:
    return CliRunner().invoke(main, ["lint", *map(str, paths)])


def test_correct_files_print_nothing() -> None:
    result = lint(GOOD, GOOD)
    assert (result.exit_code, result.output) == (0, "")


def test_a_finding_names_file_line_field_and_suggestion(tmp_path: Path) -> None:
    path = tmp_path / "it.yaml"
    path.write_text(GOOD.read_text().replace("  mode: one", "  mode: fixed\n  value: two"))
    line = path.read_text().splitlines().index("  value: two") + 1
    result = lint(GOOD, path)
    suggestion = 'write the number of pods, in quotes: "1"'
    assert result.stdout == f"{path}:{line}: spec.value: mode fixed: 'two' is not a number; {suggestion} [mode-value]\n"
    assert (result.exit_code, result.stderr) == (1, "1 finding\n")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "the file cannot be read: No such file or directory"),
        (b"\xff\xfe", "the file is not UTF-8 text (byte 0): save it as UTF-8"),
        (b"a" * 600_000, "the file has over 512 KiB: split it"),
    ],
)
def test_an_unreadable_file_is_reported_and_the_others_are_checked(
    tmp_path: Path, data: bytes | None, sentence: str
) -> None:
    path, bad = tmp_path / "it.yaml", tmp_path / "bad.yaml"
    if data is not None:
        path.write_bytes(data)
    bad.write_text("kind: X\n")
    result = lint(path, bad)
    assert result.exit_code == 2
    assert result.stderr == f"{path}: {sentence}\n1 finding, 1 of 2 files cannot be read\n"
    assert result.stdout.startswith(f"{bad}:1: kind: ")


def test_invalid_yaml_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "it.yaml"
    path.write_text("a: b\nc: [\n")
    result = lint(path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{path}:3: the file is not valid YAML: ")


@pytest.mark.parametrize("command", ["lint", "run"])
def test_a_template_of_helm_is_to_be_rendered_first(tmp_path: Path, command: str) -> None:
    path = tmp_path / "it.yaml"
    path.write_text("kind: PodChaos\nmetadata:\n  name: {{ .Release.Name }}-kill\n{{- if .Values.on }}\n{{- end }}\n")
    result = CliRunner().invoke(main, [command, str(path)])
    assert result.exit_code == 2
    assert "is a template and not yet YAML: render the template first (helm template CHART)" in result.stderr
    assert command == "run" or result.stderr.startswith(f"{path}:3: ")


def test_a_folder_is_reported_as_unreadable(tmp_path: Path) -> None:
    assert lint(tmp_path).stderr.startswith(f"{tmp_path}: the file cannot be read: Is a directory\n")


def test_control_characters_of_a_file_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "it.yaml"
    path.write_text('apiVersion: chaos-mesh.org/v1alpha1\nkind: "\\e[2J\\nline\\ud800"\n')
    result = lint(path)
    assert result.exit_code == 1
    assert result.stdout.count("\n") == 1
    assert result.stdout.rstrip("\n").isprintable()
