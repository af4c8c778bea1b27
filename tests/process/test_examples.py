"""The examples run against a world that `pairsim up` runs, as their READMEs say."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import ROOT
from tests.process.world.running_worlds import PAIRSIM, RunningWorld, until

EXAMPLES = ROOT / "examples"
OWN, PLUGIN = EXAMPLES / "03-own-simulator", EXAMPLES / "04-plugin-wheel"


def run(*words: str, seconds: float = 120.0) -> str:
    """Runs a command that must succeed, and returns its output."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commands(readme: Path, start: str) -> list[list[str]]:
    """Returns the words of the commands in a README that start with a text."""
    lines = re.findall(rf"^\$ ({re.escape(start)}.*)$", readme.read_text(), re.MULTILINE)
    assert lines
    return [line.partition("#")[0].split() for line in lines]


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the wheel of the plugin without network, and installs it as the README says."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="pip install -e '.[dev]' brings hatchling")
    folder = tmp_path_factory.mktemp("plugin")
    list(builders.WheelBuilder(str(PLUGIN)).build(directory=str(folder / "dist"), versions=["standard"]))
    (words,) = commands(PLUGIN / "README.md", "pairsim install")
    paths = {"dist": str(folder / "dist"), "plugins": str(folder / "plugins")}
    run(*PAIRSIM, *[paths.get(word, word) for word in words[1:]])
    return folder / "plugins"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, plugins: Path) -> Iterator[RunningWorld]:
    """A world with the area `west` of the example world, and the areas of the two simulators."""
    made = RunningWorld(tmp_path_factory.mktemp("examples"))
    west = (EXAMPLES / "two-areas.yaml").read_text().rpartition("---")[0]
    made.file.write_text("---\n".join([west, *(p.read_text() for p in (OWN / "cups.yaml", PLUGIN / "balloons.yaml"))]))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(OWN), str(plugins), *([before] if before else [])])
    try:
        made.start()
        until(lambda: any("the world is ready" in line for line in made.messages()), "the world is ready", seconds=120)
        yield made
    finally:
        made.close()
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def test_send(world: RunningWorld) -> None:
    lines = run(sys.executable, str(EXAMPLES / "01-send" / "send.py"), world.port).splitlines()
    assert [re.sub(r"\d+", "N", line) for line in lines] == [
        "spawn: applied in tick N",
        "impulse: applied in tick N",
        "impulse: duplicate in tick N",
        "despawn: applied in tick N",
    ]
    assert lines[1].split()[-1] == lines[2].split()[-1]


def test_observe_through_a_takeover(world: RunningWorld) -> None:
    script = [sys.executable, str(EXAMPLES / "02-observe" / "observe.py"), world.port]
    with subprocess.Popen(
        script, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as done:
        assert done.stdout is not None
        first = done.stdout.readline()
        world.run("kill", "west", "--role", "active")
        rest = done.stdout.readlines()
    assert done.returncode == 0
    seen = [(int(tick), int(term)) for tick, term in re.findall(r"tick (\d+), term (\d+)", "".join([first, *rest]))]
    assert seen == sorted(set(seen))
    assert seen[-1][0] - seen[0][0] >= 100


@pytest.mark.parametrize("script", ["01-send/send.py", "02-observe/observe.py"])
def test_an_example_without_a_world_says_so(script: str) -> None:
    done = subprocess.run([sys.executable, EXAMPLES / script, "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("no world answers on port 1: ")
    assert done.stderr.count("\n") == 1


def test_own_simulator(world: RunningWorld) -> None:
    heat, rejected = commands(OWN / "README.md", "pairsim send")
    assert "  applied  tick " in run(*PAIRSIM, *heat[1:], "--port", world.port)
    done = subprocess.run([*PAIRSIM, *rejected[1:], "--port", world.port], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.endswith("this cup does not exist\n")


def wait_until_whole(world: RunningWorld) -> None:
    """Waits until all areas are redundant and there is a spare."""
    until(lambda: all(area.redundant for area in world.status().areas) and world.status().spares, "the world is whole")


def entities(world: RunningWorld) -> dict[str, dict[str, set[int]]]:
    """Returns the ids that each replica of each area has now."""
    return {area.area: world.entity_ids(area.area) for area in world.status().areas}


def wait_until_left_alone(world: RunningWorld, before: dict[str, dict[str, set[int]]]) -> None:
    """Waits until both replicas of every area have the entities that the area had before, and no other ones."""
    expected = {name: set.union(*replicas.values()) for name, replicas in before.items()}

    def others() -> dict[str, dict[str, list[int]]]:
        """Returns the entities of each replica that are new or missing."""
        return {
            name: {replica: sorted(ids ^ expected[name]) for replica, ids in replicas.items()}
            for name, replicas in entities(world).items()
        }

    def left_alone() -> bool:
        seen = others()
        return seen.keys() == expected.keys() and all(list(area.values()) == [[], []] for area in seen.values())

    until(left_alone, "both replicas have the entities from before and no other ones", others)


def test_plugin_wheel(world: RunningWorld) -> None:
    wait_until_whole(world)
    seen = functools.partial(world.entity_ids, "valley")
    until(lambda: [len(ids) for ids in seen().values()] == [100, 100], "both replicas have the 100 balloons", seen)


def test_chaos(world: RunningWorld) -> None:
    wait_until_whole(world)
    before = entities(world)
    (words,) = commands(EXAMPLES / "05-chaos" / "README.md", "pairsim-chaos run")
    program = [sys.executable, "-m", "pairsim_chaos", *words[1:]]
    assert "held" in run(*program, "--port", world.port, "--calm", "0.5")
    wait_until_left_alone(world, before)


@pytest.fixture
def streaming(tmp_path: Path) -> Iterator[RunningWorld]:
    """The world of `make up`."""
    made = RunningWorld(tmp_path)
    made.file.write_text((EXAMPLES / "three-areas.yaml").read_text())
    try:
        made.start()
        until(lambda: any("the world is ready" in line for line in made.messages()), "the world is ready", seconds=120)
        yield made
    finally:
        made.close()


def test_twenty_kills(streaming: RunningWorld) -> None:
    program = [sys.executable, str(EXAMPLES / "twenty_kills.py"), "--port", streaming.port]
    output = run(*program, "--kills", "3", "--rate", "100")
    assert output.endswith("Nothing was lost.\n")
    assert re.search(r"entities that crossed a border .* [1-9]", output)


def test_a_sphere_is_followed_over_a_border(tmp_path: Path) -> None:
    made = RunningWorld(tmp_path)
    made.file.write_text((EXAMPLES / "two-areas.yaml").read_text())
    try:
        made.start()
        made.wait_for("the world is ready: .*")
        told = run(sys.executable, str(EXAMPLES / "07-world" / "cross.py"), made.port)
    finally:
        made.close()
    first, *others, last = told.splitlines()
    assert first.endswith("in west")
    assert others[-1].endswith("in east")
    assert last.startswith("the world says: in ")
