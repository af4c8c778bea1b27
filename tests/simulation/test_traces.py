"""The protocol does what the stories in `traces` say; a trace that differs is shown with what to do about it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pairsim.replication.raft import election, journal
from tests.simulation.traces.__main__ import ADVICE, FOLDER, difference
from tests.simulation.traces.script import Block, Script, parse, render

ROOT = Path(__file__).parents[2]
TRACES = sorted(FOLDER.glob("*.txt"))


def test_every_story_is_there() -> None:
    names = {path.stem for path in TRACES}
    assert names == {"partition", "returning_member", "seal_and_replacement", "switchover", "takeover"}


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_the_protocol_does_what_the_trace_says(path: Path) -> None:
    if text := difference(path):
        pytest.fail(text, pytrace=False)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_traces_do_not_depend_on_the_hash_seed(seed: str) -> None:
    environment = os.environ | {"PYTHONHASHSEED": seed}
    command = [sys.executable, "-m", "tests.simulation.traces"]
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("", 0), found.stderr


def test_a_text_is_the_same_after_it_was_read_and_written() -> None:
    script = Script(("# Prose.",), (Block(("kill a", "run 1s"), ("   0.000s  -- kill a",)), Block(("status",))))
    assert parse(render(script)) == script


def changed(name: str) -> list[str]:
    """Returns the lines that a trace has lost and won."""
    text = difference(FOLDER / f"{name}.txt")
    assert text.endswith(ADVICE)
    return [line for line in text.splitlines() if line[0] in "+-"]


def test_a_newcomer_that_votes_at_once_changes_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    always = property(lambda _self: True, lambda _self, _value: None)
    monkeypatch.setattr(journal.Journal, "is_voter", always, raising=False)
    lines = changed("seal_and_replacement")
    assert any(line[0] == "-" and "s1      leaves the quarantine" in line for line in lines)
    assert any(line[0] == "+" and "s1      starts in generation 2 on its journal: it votes" in line for line in lines)


def test_a_passive_that_waits_for_its_timeout_changes_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(election.Election, "on_link_down", lambda *_arguments, **_options: None)
    lines = changed("takeover")
    assert any(line[0] == "+" and "no word from the leader a: pre-vote for term 2" in line for line in lines)
