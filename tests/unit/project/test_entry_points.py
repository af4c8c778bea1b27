"""Everything that can be run with `python -m` explains itself, and does nothing if it is called wrongly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.unit.project.sources import ROOT, modules

FOLDERS = ("pairsim", "controller", "chaos", "grafana", "tests")


def entry_points() -> list[str]:
    """Returns the modules that do something when they are run."""
    found = []
    for path in modules(*FOLDERS):
        if '\nif __name__ == "__main__":\n' in path.read_text():
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[1:] if parts[0] in {"controller", "chaos"} else parts
            found.append(".".join(parts).removesuffix(".__main__"))
    return found


RUN_ALL = """
import contextlib, io, json, runpy, sys
answers = []
for module in sys.argv[1:]:
    sys.argv = [module, "--no-such-option"]
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            code = None
        except SystemExit as ended:
            code = ended.code
    answers.append([module, code, errors.getvalue().lower().startswith("usage: ")])
print(json.dumps(answers))
"""
"""One process for all of them: most of the time goes into imports that they share."""


def test_an_unknown_option_gets_a_usage_sentence_and_changes_nothing(tmp_path: Path) -> None:
    found = entry_points()
    assert {"pairsim", "pairsim_controller", "pairsim_chaos", "grafana.local", "tests.contract.write"} <= set(found)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", RUN_ALL, *found],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == [[module, 2, True] for module in found]
    assert list(tmp_path.iterdir()) == []
