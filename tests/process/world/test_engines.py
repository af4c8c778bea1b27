"""A simulator that fails hurts its own area only: the world says what is wrong, and goes on when it is mended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pairsim.model.world_status import AreaStatusView
from tests.benchmarks.starved import busy_processes
from tests.process.world import troubled
from tests.process.world.running_worlds import PAIRSIM, RunningWorld, until

WORLD = """
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {name: counts}
spec: {simulator: "troubled:Troubled", tickRate: 20, bounds: {min: [0, 0, 0], max: [1000, 1000, 1000]}}
---
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {name: holds}
spec: {simulator: "troubled:Holder", tickRate: 2, bounds: {min: [0, 0, 0], max: [1000, 1000, 1000]}}
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {name: west}
spec: {plane: counts, bounds: {min: [0, 0, 0], max: [500, 1000, 1000]}, entities: 3}
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {name: east}
spec: {plane: counts, bounds: {min: [500, 0, 0], max: [1000, 1000, 1000]}, entities: 3}
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {name: slow}
spec: {plane: holds, bounds: {min: [0, 0, 0], max: [1000, 1000, 1000]}, entities: 3}
"""

CAUSES = {
    1: "the simulator troubled:Troubled raised ValueError: kind 1 is not allowed at ",
    2: "the engine gave no answer for 2.0 s, in step at ",
    3: "the engine was ended by SIGSEGV in step at ",
}


class TroubledWorld(RunningWorld):
    """A world of three areas, whose simulators lie in its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.file.write_text(WORLD)
        self.simulators = folder
        shutil.copy(troubled.__file__, folder / "troubled.py")

    @property
    def mended(self) -> Path:
        return self.simulators / "mended"

    def area(self, name: str) -> AreaStatusView:
        return next(area for area in self.status().areas if area.area == name)

    def term(self, name: str) -> int:
        return max(replica.term for replica in self.area(name).replicas)

    def counts(self, name: str) -> tuple[int, int, int]:
        """Returns a tick, and how many ticks and troubles an entity has seen then."""
        address = self.area(name).replicas[0].url.removeprefix("http://")
        with urllib.request.urlopen(f"http://{address}/v1/entities/1", timeout=5) as answer:
            entity = json.load(answer)
        return entity["tick"], entity["components"]["ticks"], entity["components"]["fixed"]

    def trouble(self, kind: int) -> subprocess.Popen[str]:
        """Sends the command that makes the simulator of `west` fail."""
        words = ("send", "west", "trouble", "1", f"kind={kind}", "--port", self.port)
        return subprocess.Popen([*PAIRSIM, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextlib.contextmanager
def troubled_world(folder: Path) -> Iterator[TroubledWorld]:
    """Runs the world, and waits until it is ready."""
    made = TroubledWorld(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(made.simulators))
        made.start()
        try:
            until(
                lambda: any("the world is ready" in line for line in made.messages()), "the world is ready", seconds=120
            )
            yield made
        finally:
            made.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TroubledWorld]:
    with troubled_world(tmp_path_factory.mktemp("troubled")) as made:
        yield made


def wait_until_whole(world: TroubledWorld) -> None:
    until(lambda: all(area.redundant for area in world.status().areas), "all areas are redundant", world.messages, 90)


@pytest.mark.parametrize("kind", CAUSES)
def test_an_area_pauses_before_the_tick_that_fails_and_goes_on_when_it_is_mended(
    world: TroubledWorld, kind: int
) -> None:
    world.mended.unlink(missing_ok=True)
    wait_until_whole(world)
    since, terms = len(world.messages()), {name: world.term(name) for name in ("east", "slow")}
    before = world.counts("west")
    with world.trouble(kind) as sent:
        cause = re.escape(f"{CAUSES[kind]}{world.simulators / 'troubled.py'}:") + r"\d+"
        paused_there = rf"(\S+) is paused before a tick that fails, and tries it again: {cause} in tick (\d+), with .*"
        said = world.wait_for(rf"west: (?:\S.*?: )?{paused_there}", since, 90)  # after two engines of each replica
        paused = until(lambda: (found := world.counts("west"))[0] == int(said[2]) - 1 and found, "it stands before")
        assert paused[1:] == (paused[0], before[2]), "a torn state is shown"
        assert {name: world.term(name) for name in terms} == terms, "another area has noticed"
        world.mended.touch()
        wait_until_whole(world)
        sent.communicate(timeout=30)  # its answer depends on how long that took
    tick, ticks, fixed = world.counts("west")
    assert tick > paused[0]
    assert (ticks, fixed) == (tick, before[2] + kind), "a tick or a command was lost, or counted twice"


def test_an_engine_that_ends_once_costs_a_handover_and_nothing_else(world: TroubledWorld) -> None:
    world.mended.unlink(missing_ok=True)
    wait_until_whole(world)
    before, term = world.counts("west"), world.term("west")
    with world.trouble(4) as sent:
        output, _ = sent.communicate(timeout=30)
    assert "  applied  tick " in output
    wait_until_whole(world)
    tick, ticks, fixed = world.counts("west")
    assert (ticks, fixed) == (tick, before[2] + 4)
    assert world.term("west") == term + 1


def test_an_engine_that_is_killed_costs_a_handover_and_nothing_else(world: TroubledWorld) -> None:
    wait_until_whole(world)
    term, (active,) = world.term("east"), [r for r in world.area("east").replicas if r.role == "active"]
    said = world.run("kill", "east", "--engine")
    assert re.fullmatch(rf"killed the engine of {active.replica}, the active of east \(pid \d+\)\n", said)
    until(lambda: world.term("east") == term + 1, "it handed over")
    wait_until_whole(world)
    assert world.term("east") == term + 1
    assert active.pid in {replica.pid for replica in world.area("east").replicas}, "its node has ended, too"
    tick, ticks, _fixed = world.counts("east")
    assert ticks == tick


def test_a_simulator_that_keeps_the_interpreter_lock_never_changes_its_active(world: TroubledWorld) -> None:
    """It keeps the lock for 0.3 s in each of 40 ticks, two a second, while all processors are busy."""
    first, term = world.counts("slow")[0], world.term("slow")
    with busy_processes(1, os.cpu_count() or 1):
        until(lambda: world.counts("slow")[0] >= first + 40, "it ticks", world.messages, 120)
    assert world.term("slow") == term
