from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from pairsim.system.output import print_line


def test_a_line_that_cannot_be_printed_is_lost_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.suppress(OSError), Path("/dev/full").open("w") as full, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", full)
        print_line("nobody reads this")
        print_line("nor this")
        patch.undo()
        with pytest.raises(OSError, match="No space left"):
            full.flush()


def test_a_line_is_printed_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    print_line("a line")
    assert capfd.readouterr().out == "a line\n"
