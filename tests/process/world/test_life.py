"""A world on this machine, from its first start to its last; each test continues where the previous one ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator

import msgspec
import pytest

from pairsim.model.world_status import WorldStatus
from tests.process.world.running_worlds import PAIRSIM, ROOT, RunningWorld, command, is_running, until

MESSAGES = re.compile(
    r"""
    starting\ 4\ processes\ for\ 1\ area;\ state\ in\ \S+
    | west:\ founded\ with\ sim-\d\ and\ sim-\d,\ witness\ witness-1
    | west:\ sim-\d\ is\ active(\ in\ place\ of\ sim-\d(\ \([\w\ ]+\))?)?,\ in\ term\ \d+\ at\ tick\ \d+
    | west:\ sim-\d\ stays\ active,\ in\ term\ \d+\ at\ tick\ \d+:\ generation\ \d+\ has\ begun
    | west:\ sim-\d\ stays\ active,\ in\ term\ \d+\ at\ tick\ \d+:\ (.*;\ )?the\ cause\ is\ unknown
    | west:\ no\ active\ for\ \d+\ s:\ .*
    | west:\ active\ again\ after\ \d+\.\d\d\ s\ without\ an\ active:\ sim-\d
    | west:\ generation\ \d+(\ is\ in\ force)?:\ sim-\d\ and\ sim-\d,\ witness\ witness-1
    | west:\ redundant(\ again)?(\ after\ \d+\.\d\d\ s)?:\ sim-\d\ \(active\)\ and\ sim-\d\ \(passive\),\ 5\d\ entities
    | west:\ sim-\d\ has\ (been\ compiling\ for\ \d+\ s|begun\ to\ compile)
    | west:\ not\ redundant\ for\ \d+\ s:\ .*
    | west:\ sim-\d\ is\ lost\ and\ no\ spare\ is\ available:\ it\ is\ being\ restarted\ with\ its\ data
    | \w+-\d\ was\ ended\ by\ signal\ \d+\ \(\w+\);\ it\ is\ started\ again\ in\ 0\.\d\ s\ \(log:\ \S+/log\)
    | the\ world\ is\ ready:\ console\ at\ http://127\.0\.0\.1:\d+/,\ `pairsim\ status\ --port\ \d+`;\ Ctrl-C\ stops\ it
    | stopping:\ every\ area\ is\ written\ to\ disk(;\ press\ Ctrl-C\ again\ to\ stop\ without\ waiting)?
    | stopping\ at\ once
    | stopped
    """,
    re.VERBOSE,
)
"""All messages that an operator may read in these tests."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorld]:
    made = RunningWorld(tmp_path_factory.mktemp("world"))
    made.start()
    made.wait_for("the world is ready: .*")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def only_known_messages(world: RunningWorld) -> Iterator[None]:
    yield
    unknown = [line for line in world.messages() if not MESSAGES.fullmatch(line)]
    assert unknown == [], world.messages()


def tick(world: RunningWorld) -> int:
    return max(replica.tick for replica in world.status().areas[0].replicas)


def holder(world: RunningWorld, role: str) -> tuple[str, int]:
    """Returns the replica that has a role, and the area's term."""
    replica = next(r for r in world.wait_until_redundant().areas[0].replicas if r.role == role)
    return replica.replica, replica.term


def test_the_world_reports_when_it_is_ready_and_where(world: RunningWorld) -> None:
    world.wait_for(r"the world is ready: console at http://127\.0\.0\.1:(\d+)/, .*")
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}  ", line) for line in world.output())
    area = world.wait_until_redundant().areas[0]
    assert (area.area, area.generation, area.missing) == ("west", 1, "")
    assert [len(ids) for ids in world.entity_ids("west").values()] == [50, 50]
    assert max(r.lag_ticks for r in area.replicas) < 10
    shown = msgspec.json.decode(world.run("status", "--json"), type=WorldStatus)
    assert [(a.area, a.generation, {r.replica for r in a.replicas}) for a in shown.areas] == [
        ("west", 1, {r.replica for r in area.replicas})
    ]


def test_commands_are_applied(world: RunningWorld) -> None:
    assert "applied" in world.run("send", "west", "spawn", "7000", "position=500,500,500")
    assert "impulse" in command("send", "west", "explode", "7000", "--port", world.port).stderr


def test_a_second_world_on_the_same_data_is_refused(world: RunningWorld) -> None:
    second = command("up", str(world.file), "--data", str(world.data), "--port", "8")
    assert second.returncode == 1
    assert second.stderr == f"Error: the data folder {world.data} is in use by another `pairsim up`\n"
    assert world.wait_until_redundant().areas[0].generation == 1


def test_a_second_world_on_the_same_port_is_refused(world: RunningWorld) -> None:
    second = command("up", str(world.file), "--data", str(world.data.parent / "other"), "--port", world.port)
    assert second.returncode == 1
    taken = (
        rf"Error: port {world.port} is taken by \S+ \(pid \d+\), which listens at it: give another one with --port\n"
    )
    assert re.fullmatch(taken, second.stderr), second.stderr


def test_a_takeover_is_reported_with_replica_and_term(world: RunningWorld) -> None:
    victim, term = holder(world, "active")
    mark = len(world.output())
    assert world.run("kill", "west").startswith(f"killed {victim}, the active of west (pid ")
    found = world.wait_for(
        r"west: (sim-\d) is active in place of (sim-\d) \(its connection closed\), in term (\d+) at tick (\d+)", mark
    )
    assert found[2] == victim
    assert int(found[3]) > term
    world.wait_for(rf"{victim} was ended by signal 9 \(Killed\); .*", mark)
    world.wait_for(
        rf"west: redundant again after \S+ s: {found[1]} \(active\) and sim-\d \(passive\), \d+ entities", mark
    )
    assert len([line for line in world.messages(mark) if " in place of " in line]) == 1


def test_the_loss_of_the_passive_causes_no_takeover(world: RunningWorld) -> None:
    active, _ = holder(world, "active")
    mark = len(world.output())
    world.run("kill", "west", "--role", "passive")
    world.wait_for(
        rf"west: redundant again after \S+ s: {active} \(active\) and sim-\d \(passive\), \d+ entities", mark
    )
    assert not [line for line in world.messages(mark) if " in place of " in line]


def test_the_loss_of_the_witness_affects_only_redundancy(world: RunningWorld) -> None:
    active, _ = holder(world, "active")
    pid = world.wait_until_redundant().areas[0].witness.pid
    mark = len(world.output())
    world.run("kill", "west", "--role", "witness")
    until(lambda: world.status().areas[0].witness.pid not in {None, pid}, "the witness is started again")
    assert world.wait_until_redundant().areas[0].replicas[0].replica == active
    assert not [line for line in world.messages(mark) if " in place of " in line]


def test_a_switchover_is_reported(world: RunningWorld) -> None:
    active, term = holder(world, "active")
    passive, _ = holder(world, "passive")
    mark = len(world.output())
    assert re.fullmatch(r"west switched over: it stood still for \S+ ms; term \d+\n", world.run("switchover", "west"))
    found = world.wait_for(
        rf"west: {passive} is active in place of {active} \(it handed over\), in term (\d+) at tick \d+", mark
    )
    assert int(found[1]) > term
    world.wait_until_redundant()


def test_the_history_on_disk_has_the_lines_with_their_times(world: RunningWorld) -> None:
    kept = [json.loads(line) for line in (world.data / "history.jsonl").read_text().splitlines()]
    times = [f"{time.strftime('%H:%M:%S', time.localtime(e['at']))}.{int(1000 * e['at']) % 1000:03d}" for e in kept]
    lines = [f"{e['area']}: {e['sentence']}" if e["area"] else e["sentence"] for e in kept]
    assert [f"{at}  {line}" for at, line in zip(times, lines, strict=True)][: len(world.output())] == world.output()


def test_sigterm_stops_the_world_in_order_and_the_next_start_resumes_it(world: RunningWorld) -> None:
    """A watching `pairsim status` waits for the world; the next start has the same tick, entities and generation."""
    before, pids, was = tick(world), world.pids(), world.wait_until_redundant().areas[0]
    entities = set.union(*world.entity_ids("west").values())
    watching = subprocess.Popen(
        [*PAIRSIM, "status", "--watch", "--port", world.port],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stdout is not None
    assert watching.stderr is not None
    assert "1 area, " in watching.stdout.readline()
    world.signal(signal.SIGTERM)
    assert world.wait_for_exit() == 0
    assert world.messages()[-2:] == ["stopping: every area is written to disk", "stopped"]
    assert not any(map(is_running, pids))
    logs = [(world.data / f"sim-{number}" / "log").read_text() for number in (1, 2, 3)]
    assert all("stopped with the whole world" in log.splitlines()[-1] for log in logs)
    assert not any("handover failed" in log for log in logs)
    assert watching.stderr.readline().endswith("; waiting for the world\n")
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=20)
    assert (watching.returncode, "Traceback" in errors) == (0, False)
    world.start()
    world.wait_for("the world is ready: .*")
    area = world.wait_until_redundant().areas[0]
    assert tick(world) >= before
    assert area.generation == was.generation
    assert list(world.entity_ids("west").values()) == [entities, entities]
    assert not [line for line in world.messages() if "founded" in line]


def test_sigkill_ends_all_processes_and_the_next_start_resumes_the_world(world: RunningWorld) -> None:
    world.wait_until_redundant()
    entities = set.union(*world.entity_ids("west").values())
    before, pids = tick(world), world.pids()
    assert len(pids) == 4
    world.signal(signal.SIGKILL)
    assert world.wait_for_exit() == -signal.SIGKILL
    until(lambda: not any(map(is_running, pids)), "its processes have ended")
    reader, writer = os.pipe()
    world.start(stdout=writer)
    os.close(writer)
    with os.fdopen(reader) as output:
        while "the world is ready" not in output.readline():
            assert world.process is not None
            assert world.process.poll() is None
    assert tick(world) >= before
    world.wait_until_redundant()
    assert list(world.entity_ids("west").values()) == [entities, entities]


def test_the_world_continues_when_its_output_is_not_read(world: RunningWorld) -> None:
    """The previous test has closed the reading end of the output."""
    victim, _ = holder(world, "active")
    world.run("kill", "west")
    until(lambda: holder(world, "active")[0] != victim, "the passive has taken over")
    assert len(world.pids()) == 4


def test_a_second_ctrl_c_does_not_wait_for_a_hanging_process(world: RunningWorld) -> None:
    pids = world.pids()
    os.kill(min(pids), signal.SIGSTOP)
    world.signal(signal.SIGINT)
    until(lambda: sum(map(is_running, pids)) < len(pids), "the world is stopping")
    world.signal(signal.SIGINT)
    assert world.wait_for_exit(5.0) == 0
    assert not any(map(is_running, pids))
