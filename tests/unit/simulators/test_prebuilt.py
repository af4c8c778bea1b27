"""The compiled functions of the image are read from a read-only folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import numba

def compiled():
    try:
        return numba.njit("int64(int64)", cache=True)(lambda x: x + 1)
    except RuntimeError as error:
        print("refused:", error)

f = compiled()
print(f(1) if f else None)
"""
LOCATORS = "pairsim.simulators.prebuilt.Prebuilt,UserProvidedCacheLocator,InTreeCacheLocator,UserWideCacheLocator"


def run(folder: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "import one"],
        env={**os.environ, "PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache"),
             "NUMBA_CPU_NAME": "generic", "NUMBA_DEBUG_CACHE": "1", **environment},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout


@pytest.fixture
def built(tmp_path: Path) -> Path:
    (tmp_path / "one.py").write_text(MODULE)
    assert "data saved" in run(tmp_path)
    return tmp_path


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (folder / "cache").rglob("*")}


def test_a_prebuilt_kernel_is_read_and_nothing_is_written(built: Path) -> None:
    before = files(built)
    told = run(built, NUMBA_CACHE_LOCATOR_CLASSES=LOCATORS)
    assert "data loaded" in told
    assert told.endswith("2\n")
    assert files(built) == before
    # On another processor the compiler gets an error, and may continue without the folder.
    told = run(built, NUMBA_CACHE_LOCATOR_CLASSES=LOCATORS, NUMBA_CPU_NAME="x86-64-v2", NUMBA_CPU_FEATURES="+sse3")
    assert "refused: the compiled functions" in told
    assert files(built) == before


def test_the_kernels_of_another_source_are_left_to_the_next_locator(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(MODULE)
    assert "data saved" in run(tmp_path, NUMBA_CACHE_LOCATOR_CLASSES=LOCATORS)
