from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import ROOT


@pytest.mark.parametrize("environment", [{}, {"PYTHONSAFEPATH": "1"}])
def test_the_command_line_imports_no_file_of_the_current_folder(tmp_path: Path, environment: dict[str, str]) -> None:
    for module in ("queue", "random", "logging", "click"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('a file of the current folder replaces a module')")
    done = subprocess.run(
        [sys.executable, "-m", "pairsim", "status", "--help"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True,
        timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
