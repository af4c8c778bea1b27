"""A whole world on this machine, from its first start to its last: each test goes on where the one before ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.process.world.ups import PAIRSIM, ROOT, Up, command, running, until

TOLD = re.compile(
    r"""
    starting\ 4\ processes\ for\ 1\ area\(s\);\ state\ in\ \S+
    | west:\ founded\ with\ sim-\d\ and\ sim-\d,\ witness\ witness-1
    | west:\ sim-\d\ is\ active(\ in\ place\ of\ sim-\d(\ \([\w\ ]+\))?)?,\ in\ term\ \d+\ at\ tick\ \d+
    | west:\ sim-\d\ stays\ active,\ in\ term\ \d+\ at\ tick\ \d+
    | west:\ generation\ \d+:\ sim-\d\ and\ sim-\d,\ witness\ witness-1
    | west:\ redundant(\ again)?(\ after\ \d+\.\d\d\ s)?:\ sim-\d\ \(active\)\ and\ sim-\d\ \(passive\),\ 5\d\ entities
    | west:\ not\ redundant\ for\ \d+\ s:\ .*
    | \w+-\d\ was\ ended\ by\ signal\ \d+\ \(\w+\);\ it\ is\ started\ again\ in\ 0\.\d\ s\ \(log:\ \S+/log\)
    | the\ world\ is\ ready:\ console\ at\ http://127\.0\.0\.1:\d+/,\ `pairsim\ status\ --port\ \d+`;\ Ctrl-C\ stops\ it
    | stopping:\ every\ area\ is\ written\ to\ disk(;\ Ctrl-C\ again\ does\ not\ wait\ for\ it)?
    | stopping\ at\ once
    | stopped
    """,
    re.VERBOSE,
)
"""All that an operator is told when nothing lasts."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    made = Up(tmp_path_factory.mktemp("world"))
    made.start()
    made.told("the world is ready: .*")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_else_is_told(up: Up) -> Iterator[None]:
    yield
    strange = [line for line in up.sentences() if not TOLD.fullmatch(line)]
    assert strange == [], up.sentences()


def tick(up: Up) -> int:
    return max(replica.tick for replica in up.picture().areas[0].replicas)


def holder(up: Up, role: str) -> tuple[str, int]:
    """Who has a role, and the area's term."""
    replica = next(r for r in up.whole().areas[0].replicas if r.role == role)
    return replica.replica, replica.term


def test_it_says_when_it_is_ready_and_where(up: Up) -> None:
    up.told(r"the world is ready: console at http://127\.0\.0\.1:(\d+)/, .*")
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}  ", line) for line in up.story())
    area = up.whole().areas[0]
    assert (area.area, area.generation, area.missing) == ("west", 1, "")
    assert {r.entities for r in area.replicas} == {50}
    assert max(r.lag_ticks for r in area.replicas) < 10


def test_commands_go_in(up: Up) -> None:
    assert "applied" in up.order("send", "west", "spawn", "7000", "position=500,500,500")
    assert "impulse" in command("send", "west", "explode", "7000", "--port", up.port).stderr


def test_a_second_world_on_the_same_data_is_refused(up: Up) -> None:
    second = command("up", str(up.file), "--data", str(up.data), "--port", "8")
    assert second.returncode == 1
    assert second.stderr == f"Error: the data folder {up.data} is in use by another `pairsim up`\n"
    assert up.whole().areas[0].generation == 1


def test_a_second_world_on_the_same_port_is_refused(up: Up) -> None:
    second = command("up", str(up.file), "--data", str(up.data.parent / "other"), "--port", up.port)
    assert second.returncode == 1
    assert second.stderr == f"Error: port {up.port} is taken: give another one with --port\n"


def test_a_takeover_is_told_with_who_and_the_term(up: Up) -> None:
    victim, term = holder(up, "active")
    mark = len(up.story())
    assert up.order("kill", "west").startswith(f"killed {victim}, the active of west (pid ")
    told = up.told(
        r"west: (sim-\d) is active in place of (sim-\d) \(its connection closed\), in term (\d+) at tick (\d+)", mark
    )
    assert told[2] == victim
    assert int(told[3]) > term
    up.told(rf"{victim} was ended by signal 9 \(Killed\); .*", mark)
    up.told(rf"west: redundant again after \S+ s: {told[1]} \(active\) and sim-\d \(passive\), \d+ entities", mark)
    assert len([line for line in up.sentences(mark) if " in place of " in line]) == 1


def test_a_lost_passive_is_no_takeover(up: Up) -> None:
    active, _ = holder(up, "active")
    mark = len(up.story())
    up.order("kill", "west", "--role", "passive")
    up.told(rf"west: redundant again after \S+ s: {active} \(active\) and sim-\d \(passive\), \d+ entities", mark)
    assert not [line for line in up.sentences(mark) if " in place of " in line]


def test_a_lost_witness_changes_nothing_but_redundancy(up: Up) -> None:
    active, _ = holder(up, "active")
    pid = up.whole().areas[0].witness.pid
    mark = len(up.story())
    up.order("kill", "west", "--role", "witness")
    until(lambda: up.picture().areas[0].witness.pid not in {None, pid}, "the witness is started again")
    assert up.whole().areas[0].replicas[0].replica == active
    assert not [line for line in up.sentences(mark) if " in place of " in line]


def test_a_switchover_is_told(up: Up) -> None:
    active, term = holder(up, "active")
    passive, _ = holder(up, "passive")
    mark = len(up.story())
    assert re.fullmatch(r"west switched over: it stood still for \S+ ms; term \d+\n", up.order("switchover", "west"))
    told = up.told(
        rf"west: {passive} is active in place of {active} \(it handed over\), in term (\d+) at tick \d+", mark
    )
    assert int(told[1]) > term
    up.whole()


def test_who_watches_is_told_when_the_world_goes_away_and_it_goes_on_later(up: Up) -> None:
    """SIGTERM: in order; the next start goes on from the same tick, with the same entities and generation."""
    before, pids, was = tick(up), up.pids(), up.whole().areas[0]
    watching = subprocess.Popen(
        [*PAIRSIM, "status", "--watch", "--port", up.port],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stdout is not None
    assert "1 area(s)" in watching.stdout.readline()
    up.signal(signal.SIGTERM)
    assert up.ended() == 0
    assert up.sentences()[-2:] == ["stopping: every area is written to disk", "stopped"]
    assert not any(map(running, pids))
    logs = [(up.data / f"sim-{number}" / "log").read_text() for number in (1, 2, 3)]
    assert all("stopped with the whole world" in log.splitlines()[-1] for log in logs)
    assert not any("handover failed" in log for log in logs)
    _, told = watching.communicate(timeout=20)
    assert (watching.returncode, told.count("Error: ")) == (1, 1)
    assert "Traceback" not in told
    up.start()
    up.told("the world is ready: .*")
    area = up.whole().areas[0]
    assert tick(up) >= before
    assert (area.generation, area.replicas[0].entities) == (was.generation, was.replicas[0].entities)
    assert not [line for line in up.sentences() if "founded" in line]


def test_kill_9_takes_its_processes_along_and_it_goes_on_later(up: Up) -> None:
    entities = up.whole().areas[0].replicas[0].entities
    before, pids = tick(up), up.pids()
    assert len(pids) == 4
    up.signal(signal.SIGKILL)
    assert up.ended() == -signal.SIGKILL
    until(lambda: not any(map(running, pids)), "its processes have ended")
    reader, writer = os.pipe()
    up.start(stdout=writer)
    os.close(writer)
    with os.fdopen(reader) as told:
        while "the world is ready" not in told.readline():
            assert up.process is not None
            assert up.process.poll() is None
    assert tick(up) >= before
    assert up.whole().areas[0].replicas[0].entities == entities


def test_it_goes_on_when_nobody_reads_what_it_tells(up: Up) -> None:
    """Its reader has gone with the test before."""
    victim, _ = holder(up, "active")
    up.order("kill", "west")
    until(lambda: holder(up, "active")[0] != victim, "the passive has taken over")
    assert len(up.pids()) == 4


def test_a_second_ctrl_c_does_not_wait(up: Up) -> None:
    """For a process that hangs, that is."""
    pids = up.pids()
    os.kill(min(pids), signal.SIGSTOP)
    up.signal(signal.SIGINT)
    until(lambda: sum(map(running, pids)) < len(pids), "it is stopping")
    up.signal(signal.SIGINT)
    assert up.ended(5.0) == 0
    assert not any(map(running, pids))
