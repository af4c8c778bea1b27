"""Orders of an operator about an area that is paused: a command is left out, and nothing else is lost."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.process.world.running_worlds import PAIRSIM, command, until
from tests.process.world.test_engines import TroubledWorld, troubled_world, wait_until_whole

PAUSED = r"\S+ is paused before a tick that fails.* in tick (\d+), with .*"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledWorld]:
    with troubled_world(tmp_path_factory.mktemp("ordered")) as made:
        yield made


def send_batch(world: TroubledWorld, name: str, *kinds: int) -> subprocess.Popen[str]:
    """Sends a batch of troubles, whose ids are `NAME-KIND`, as one tick takes them."""
    lines = [
        json.dumps({"op": "trouble", "entity": 1, "components": {"kind": kind}, "id": f"{name}-{kind}"})
        for kind in kinds
    ]
    file = world.simulators / "batch.jsonl"
    file.write_text("\n".join(lines))
    words = ("send", "west", "--file", str(file), "--port", world.port)
    return subprocess.Popen([*PAIRSIM, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def seconds_to_the_next_attempt(world: TroubledWorld) -> float:
    """Returns how long the active of `west` waits before it tries its tick again."""
    address = world.area("west").replicas[0].url.removeprefix("http://")
    with urllib.request.urlopen(f"http://{address}/v1/status", timeout=5) as answer:
        simulator = json.load(answer)["simulator"]
    return simulator["seconds"] if simulator and simulator["phase"] == "paused" else 0.0


def refused(world: TroubledWorld, *words: str) -> str:
    done = command(*words, "--port", world.port)
    assert done.returncode == 1
    return done.stderr


def test_a_command_at_which_both_replicas_fail_is_skipped_and_nothing_else_is_lost(world: TroubledWorld) -> None:
    world.mended.unlink(missing_ok=True)
    wait_until_whole(world)
    assert "west is not paused: a command can be skipped only while" in refused(world, "skip", "west", "trouble-1")
    since, before = len(world.messages()), world.counts("west")
    with send_batch(world, "trouble", 100, 1, 1000) as sent:
        paused = world.wait_for(rf"west: (?:\S.*?: )?{PAUSED}", since)
        until(lambda: world.area("west").slow.startswith("time stands still"), "it says so")
        assert [replica.role for replica in world.area("west").replicas] == ["active", "passive"]
        assert f"tick {paused[1]}, which fails, has no command 'x': it has " in refused(world, "skip", "west", "x")
        said = until(lambda: command("skip", "west", "trouble-1", "--port", world.port).stdout, "it is accepted")
        assert said == f"west goes on with tick {paused[1]} without command trouble-1\n"
        output, _ = sent.communicate(timeout=30)
    assert f"trouble-1  rejected  tick {paused[1]}  skipped" in output.replace("   ", "  ")
    wait_until_whole(world)
    tick, ticks, fixed = world.counts("west")
    assert (ticks, fixed) == (tick, before[2] + 1100), "a tick or a command was lost, or counted twice"


def test_a_mended_file_computes_the_tick_that_failed_after_an_order(world: TroubledWorld) -> None:
    wait_until_whole(world)
    since, before = len(world.messages()), world.counts("west")
    with send_batch(world, "mended", 1, 200) as sent:
        paused = world.wait_for(rf"west: (?:\S.*?: )?{PAUSED}", since)
        until(lambda: seconds_to_the_next_attempt(world) > 5, "it tries again after a while only", seconds=60)
        file = world.simulators / "troubled.py"
        file.write_text(file.read_text().replace('raise ValueError("kind 1 is not allowed")', "continue"))
        said = until(lambda: command("engines", "restart", "west", "--port", world.port).stdout, "it is accepted")
        assert said == f"west tries tick {paused[1]} again with new engines and other code\n"
        sent.communicate(timeout=30)  # it may have waited too long for an answer
    wait_until_whole(world)
    tick, ticks, fixed = world.counts("west")
    assert (ticks, fixed) == (tick, before[2] + 201), "a tick or a command was lost, or counted twice"
    with send_batch(world, "mended", 1, 200) as again:
        output, _ = again.communicate(timeout=30)
    assert re.findall(r"mended-(\d+) +duplicate +tick (\d+)", output) == [("1", paused[1]), ("200", paused[1])]


def engine_pids(world: TroubledWorld) -> set[int]:
    """Returns the process ids of the engines of `west`."""
    found = set()
    for replica in world.area("west").replicas:
        address = replica.url.removeprefix("http://")
        with urllib.request.urlopen(f"http://{address}/v1/status", timeout=5) as answer:
            found.add(json.load(answer)["engine_pid"])
    return found - {None}


def edit(world: TroubledWorld) -> None:
    """Changes the code of the simulator, but not what it computes."""
    file = world.simulators / "troubled.py"
    file.write_text(file.read_text() + f"EDITED = {time.time()}\n")


def test_the_engines_of_an_area_that_runs_are_renewed_with_an_edited_file(world: TroubledWorld) -> None:
    wait_until_whole(world)
    term, engines = world.term("west"), engine_pids(world)
    edit(world)
    done = command("engines", "restart", "west", "--port", world.port)
    said = re.fullmatch(r"west computes tick \d+ and those after it with new engines and other code\n", done.stdout)
    assert said, done.stderr
    until(lambda: not engine_pids(world) & engines, "both replicas have another engine")
    wait_until_whole(world)
    assert world.term("west") == term, "the leadership changed"
    tick, ticks, _fixed = world.counts("west")
    assert ticks == tick, "a tick was lost, or counted twice"
    done = command("engines", "restart", "west", "--port", world.port)
    assert done.stdout.endswith("with new engines, whose code is the same\n"), done.stderr


def test_a_fresh_engine_that_cannot_be_started_leaves_the_area_as_it_is(world: TroubledWorld) -> None:
    wait_until_whole(world)
    file, engines = world.simulators / "troubled.py", engine_pids(world)
    before = file.read_text()
    file.write_text("raise RuntimeError('half an edit')\n")
    try:
        error = refused(world, "engines", "restart", "west")
    finally:
        file.write_text(before)
    assert "the engine cannot be started: " in error
    assert "half an edit" in error
    assert "west goes on with the engine that it has" in error
    assert engine_pids(world) == engines


def test_a_replica_that_joins_with_other_code_follows_and_computes_after_an_order(world: TroubledWorld) -> None:
    wait_until_whole(world)
    since = len(world.messages())
    edit(world)
    assert command("kill", "west", "--role", "passive", "--port", world.port).returncode == 0
    options = f" --port {world.port}"
    advice = rf"pairsim engines restart west{options} puts that code into force"
    said = "computes nothing: its simulator's code is not the one with which west is computed"
    world.wait_for(rf"west: .*{said}; {advice}", since)
    until(lambda: len(world.area("west").replicas) == 2, "it follows")
    said = until(lambda: command("engines", "restart", "west", "--port", world.port).stdout, "it is accepted")
    assert said.endswith("and other code\n")
    wait_until_whole(world)
    tick, ticks, _fixed = world.counts("west")
    assert ticks == tick, "a tick was lost, or counted twice"


def test_an_area_that_is_paused_becomes_redundant_again_after_the_loss_of_a_replica(world: TroubledWorld) -> None:
    world.mended.unlink(missing_ok=True)
    wait_until_whole(world)
    since, before = len(world.messages()), world.counts("west")
    with send_batch(world, "lost", 2, 300) as sent:
        paused = world.wait_for(rf"west: (?:\S.*?: )?{PAUSED}", since)
        generation = world.area("west").generation
        assert command("kill", "west", "--role", "passive", "--port", world.port).returncode == 0
        until(lambda: world.area("west").generation > generation, "another replica joins")
        until(lambda: [r.role for r in world.area("west").replicas] == ["active", "passive"], "it follows")
        tick, _ticks, _fixed = world.counts("west")
        assert tick == int(paused[1]) - 1
        assert command("kill", "west", "--role", "active", "--port", world.port).returncode == 0
        until(lambda: world.area("west").slow.startswith("time stands still"), "the newcomer leads")
        until(lambda: command("skip", "west", "lost-2", "--port", world.port).stdout, "it is accepted", seconds=60)
        sent.communicate(timeout=30)
    wait_until_whole(world)
    tick, ticks, fixed = world.counts("west")
    assert (ticks, fixed) == (tick, before[2] + 300), "a tick or a command was lost, or counted twice"


def test_a_newcomer_whose_file_is_broken_joins_and_computes_once_it_is_mended(world: TroubledWorld) -> None:
    wait_until_whole(world)
    since, generation = len(world.messages()), world.area("west").generation
    file = world.simulators / "troubled.py"
    before = file.read_text()
    file.write_text("\n\nraise RuntimeError('half an edit')\n")
    try:
        assert command("kill", "west", "--role", "passive", "--port", world.port).returncode == 0
        cause = rf"RuntimeError: half an edit at {re.escape(str(file))}:3"
        world.wait_for(rf"west: .*\S+ tries to start its engine; this failed: .*{cause}.*", since)
        until(lambda: world.area("west").generation > generation, "the newcomer joins", world.messages)
        until(lambda: [r.role for r in world.area("west").replicas] == ["active", "passive"], "it follows")
        assert not world.area("west").redundant
        assert "half an edit" in world.area("west").missing
        tick = world.counts("west")[0]
        until(lambda: world.counts("west")[0] > tick + 10, "the area goes on")
    finally:
        file.write_text(before)
    wait_until_whole(world)
    tick, ticks, _fixed = world.counts("west")
    assert ticks == tick, "a tick was lost, or counted twice"
