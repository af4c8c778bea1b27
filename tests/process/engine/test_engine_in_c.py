"""The example of an engine in C: it computes the same bits as the same logic in numpy, and a world runs on it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pairsim.engine.host.process import EngineProcess
from pairsim.engine.port import EngineRaisedError
from pairsim.model.area import AreaSpec
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.world_status import WorldStatus
from pairsim.replication.process.engines import start_engine_process
from tests.harness import ROOT
from tests.process.world.running_worlds import RunningWorld, until

EXAMPLE = ROOT / "examples" / "06-engine-in-c"
TICKS, MOST_COMMANDS = 200, 30
PRESENT, LARGEST = 1_000, 2**63 - 1


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the engine as the README says, with warnings as errors."""
    if shutil.which("cc") is None:
        pytest.skip("this test builds a program in C: install a compiler that is called cc, such as gcc")
    (words,) = re.findall(r"^\$ (cc .*)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE)
    made = tmp_path_factory.mktemp("engine") / "bouncing"
    changed = [str(made) if word == "bouncing" else word for word in shlex.split(words)]
    done = subprocess.run(
        [*changed, "-Wall", "-Wextra", "-Werror"], cwd=EXAMPLE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return made


def area(simulator: str, **parameters: float | str) -> AreaSpec:
    box = Box(min=(-50, 0, 0.3), max=(100, 100, 10))
    return AreaSpec(
        area="box", plane="points", simulator=simulator, parameters=parameters, bounds=box, world=box,
        entities=PRESENT,
    )  # fmt: skip


@pytest.fixture
def engines(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[EngineProcess, EngineProcess]]:
    """The engine in C and the one in numpy, at tick 0."""
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE))
    with contextlib.ExitStack() as stack:
        made = []
        for simulator in (f"exec:{program}", "reference:Bouncing"):
            folder = tmp_path / str(len(made))
            folder.mkdir()
            engine = start_engine_process(area(simulator, speed=40), folder, lambda _reason: None)
            stack.callback(engine.close)
            engine.populate()
            made.append(engine)
        yield made[0], made[1]


def some_commands(chance: random.Random, tick: int) -> list[Command]:
    """Returns commands for entities of which some exist, with texts and numbers of every length."""
    commands = []
    for number in range(chance.randrange(MOST_COMMANDS)):
        op = chance.choice(["spawn", "despawn", "set", "set"])
        entity = chance.choice([chance.randrange(PRESENT + 200), 2**40 + chance.randrange(4), LARGEST])
        values = {name: [chance.uniform(-200, 200) for _ in range(3)] for name in ("velocity", "position")}
        given = {} if op == "despawn" else dict(chance.sample(sorted(values.items()), chance.randint(op == "set", 2)))
        name = chance.choice([f"{tick}-{number}", "x" * 64, "é" * 64, "世" * 64 + str(number)])
        commands.append(Command(name, op, entity, given))
    return commands


def test_the_engine_in_c_computes_the_same_bits_as_numpy(engines: tuple[EngineProcess, EngineProcess]) -> None:
    in_c, in_numpy = engines
    assert (in_c.components, in_c.operations, in_c.engine) == (in_numpy.components, (), "bouncing 1.0")
    assert in_c.table.digest() == in_numpy.table.digest()
    chance = random.Random(6)
    rejected = 0
    for tick in range(1, 1 + TICKS):
        commands = some_commands(chance, tick)
        assert in_c.perceive(tick) == []
        refused = in_c.advance(in_c.table, commands, tick)
        assert refused == in_numpy.advance(in_numpy.table, commands, tick)
        assert in_c.table.digest() == in_numpy.table.digest(), tick
        rejected += len(refused)
    assert TICKS < rejected < TICKS * MOST_COMMANDS / 2
    assert in_c.table.row(int(in_c.table.ids[-1])) == len(in_c.table) - 1, "the node's lookup knows of the changes"


def test_the_engine_in_c_goes_on_from_what_the_node_wrote(engines: tuple[EngineProcess, EngineProcess]) -> None:
    for engine in engines:
        reverse = {name: column[::-1] for name, column in engine.table.columns().items()}
        engine.check_table.assign(engine.table.ids[::-1].copy(), reverse)
        engine.check_table.despawn(np.array([5, PRESENT]))
    commands = [Command("a", "despawn", 7), Command("b", "set", 8, {"velocity": [1.0, 2.0, 3.0]})]
    before = engines[0].table.digest()
    refused = [engine.advance(engine.check_table, commands, 9) for engine in engines]
    assert refused == [{}, {}]
    assert engines[0].check_table.digest() == engines[1].check_table.digest()
    assert len(engines[0].check_table) == PRESENT - 3
    assert engines[0].table.digest() == before


@pytest.mark.parametrize("parameters", [{"speed": "fast"}, {"speed": -1}, {"radius": 1}, {"speed": 1, "spin": 2}])
def test_the_engine_in_c_refuses_what_the_one_in_numpy_refuses(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, float | str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLE))
    for simulator in (f"exec:{program}", "reference:Bouncing"):
        with pytest.raises(EngineRaisedError, match=r"^bouncing takes one parameter, speed, from 0 to 1000$"):
            start_engine_process(area(simulator, **parameters), tmp_path, lambda _reason: None)


def newest_tick(status: WorldStatus) -> int:
    return max(replica.tick for replica in status.areas[0].replicas)


def test_a_world_of_the_engine_in_c_goes_on_after_its_active_was_killed(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(program.parent), os.environ.get("PYTHONPATH", "")]))
    world = RunningWorld(tmp_path)
    shutil.copy(EXAMPLE / "world.yaml", world.file)
    try:
        world.start()
        until(
            lambda: any("the world is ready" in line for line in world.messages()), "the world is ready", world.messages
        )
        world.wait_until_redundant()
        assert "  applied  tick " in world.run("send", "box", "spawn", "5000", "velocity=1,2,3")
        killed = world.run("kill", "box", "--role", "active")
        successor = world.wait_for(r"box: (.*) is active in place of (.*) \(.*")
        assert killed.startswith(f"killed {successor[2]}, the active of box")
        tick = newest_tick(world.wait_until_redundant())
        until(lambda: newest_tick(world.status()) > tick, "the area goes on")
        ids = set(range(1, 1001)) | {5000}
        until(lambda: list(world.entity_ids("box").values()) == [ids, ids], "both replicas have the same entities")
        assert "step is not deterministic" not in "".join(world.messages())
    finally:
        world.close()
