"""The compiled kernels against their definition in numpy, and what must hold whatever clients do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy._core._multiarray_umath import __cpu_dispatch__

from pairsim.model.area import AreaSpec, Parameter
from pairsim.model.command_schema import CommandSchema
from pairsim.model.commands import Command
from pairsim.model.geometry import Box
from pairsim.model.simulation.simulator import ParameterError
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from pairsim.simulators import kernels, reference
from pairsim.simulators.grid import MAX_CROWD
from pairsim.simulators.physics import Physics
from tests import builders

TOP = np.float32(40)  # below what the tests start with, so that the bound shows
BOX = Box(min=(0.0, -5.0, 2.0), max=(12.0, 5.0, 9.0))


def area(entities: int = 50, **parameters: Parameter) -> AreaSpec:
    return builders.area("a", parameters=parameters, seed=3, bounds=BOX, entities=entities)


# A coarse lattice gives coincident centres, contacts and entities on the borders of cells; the last one crowds.
coordinate = st.one_of(st.integers(0, 14).map(lambda n: n / 2.0), st.floats(0, 7, width=32), st.just(3.25))
entity = st.tuples(*[coordinate] * 3, *[st.floats(-50, 50, width=32)] * 3)


@given(st.lists(entity, max_size=120), st.sampled_from([0.3, 0.5, 2.0]))
@settings(deadline=None, max_examples=150)
def test_compiled_collisions_have_the_bits_of_the_definition(entities: list[tuple[float, ...]], radius: float) -> None:
    state = np.array(entities, np.float32).reshape(-1, 6)
    position = np.ascontiguousarray(
        np.minimum(state[:, :3] + np.array(BOX.min, np.float32), np.array(BOX.max, np.float32))
    )
    one, other = state[:, 3:].copy(), state[:, 3:].copy()
    reference.collide(position, one, np.float32(2 * radius), TOP)
    kernels.Collider(np.float32(2 * radius), TOP).collide(position, other)
    assert one.tobytes() == other.tobytes()


@given(st.lists(entity, max_size=60), st.sampled_from([0.01, 0.05, 1.0]))
@settings(deadline=None)
def test_compiled_motion_has_the_bits_of_the_definition(entities: list[tuple[float, ...]], dt: float) -> None:
    state = np.array(entities, np.float32).reshape(-1, 6)
    low, high = np.array(BOX.min, np.float32), np.array(BOX.max, np.float32)
    results = []
    for move in (reference.move, kernels.move):
        position, velocity = state[:, :3].copy(), state[:, 3:].copy()
        move(position, velocity, TOP, np.float32(dt), low, high)
        results.append((position.tobytes(), velocity.tobytes()))
        assert ((position >= low) & (position <= high)).all()
    assert results[0] == results[1]


def test_a_crowd_in_one_cell_is_limited_equally_in_both_versions() -> None:
    rng = np.random.default_rng(1)
    count = 20 * MAX_CROWD
    position = np.full((count, 3), 3.3, np.float32) + rng.random((count, 3), np.float32) * np.float32(0.2)
    before = rng.random((count, 3), np.float32)
    one, other = before.copy(), before.copy()
    reference.collide(position, one, np.float32(1), TOP)
    kernels.Collider(np.float32(1), TOP).collide(position, other)
    assert 0 < np.count_nonzero((one != before).any(axis=1)) <= MAX_CROWD
    assert one.tobytes() == other.tobytes()


def test_two_spheres_that_meet_swap_the_velocities_along_their_line() -> None:
    position = np.array([[3, 0, 5], [3.9, 0, 5]], np.float32)
    velocity = np.array([[2, 1, 0], [-1, 0, 3]], np.float32)
    kernels.Collider(np.float32(1), TOP).collide(position, velocity)
    assert velocity.tolist() == [[-1, 1, 0], [2, 0, 3]]
    before = velocity.copy()
    kernels.Collider(np.float32(1), TOP).collide(position, velocity)  # they part now
    assert velocity.tolist() == before.tolist()


extreme = st.floats(allow_nan=False, allow_infinity=False, width=32)
wild = st.builds(
    Command,
    st.uuids().map(lambda u: u.hex),
    st.sampled_from(["set", "impulse", "spawn", "despawn"]),
    st.integers(0, 12),
    st.dictionaries(st.sampled_from(["position", "velocity", "impulse"]), st.lists(extreme, min_size=3, max_size=3)),
)


@given(st.lists(st.lists(wild, max_size=12), max_size=6), st.booleans())
@settings(deadline=None, max_examples=80)
def test_valid_commands_leave_finite_numbers_inside_the_world(ticks: list[list[Command]], collisions: bool) -> None:
    spec = area(8, collisions=collisions)
    simulator = Physics(spec)
    simulator.prepare()
    command_schema, table = CommandSchema(simulator.components, simulator.operations), Table(simulator.components)
    table.spawn(np.arange(8, dtype=np.int64), {"position": np.full((8, 3), 4, np.float32)})
    for number, commands in enumerate(ticks, 1):
        advance(simulator, table, [c for c in commands if passes(command_schema, c)], number, spec)
        position, velocity = table.column("position"), table.column("velocity")
        assert np.isfinite(np.asarray(velocity, np.float64)).all()
        low, high = np.array(BOX.min, np.float32), np.array(BOX.max, np.float32)
        assert ((position >= low) & (position <= high)).all()


def passes(command_schema: CommandSchema, command: Command) -> bool:
    try:
        command_schema.check(command)
    except ValueError:
        return False
    return True


def test_impulses_add_up_and_unknown_entities_are_rejected() -> None:
    simulator, spec = Physics(area(0)), area(0)
    table = Table(simulator.components)
    table.spawn(np.array([7], np.int64), {"position": np.full((1, 3), 4, np.float32)})
    push = [Command(str(n), "impulse", 7, {"impulse": [1.0, 0.0, 0.5]}) for n in range(3)]
    rejected = advance(simulator, table, [*push, Command("x", "impulse", 8, {"impulse": [1.0, 0.0, 0.0]})], 1, spec)
    assert rejected == {3: "entity 8 does not exist"}
    assert table.column("velocity")[0].tolist() == [3, 0, 1.5]


@pytest.mark.parametrize(
    ("parameters", "word"),
    [({"radius": 0.0}, "radius"), ({"collisions": 1}, "collisions"), ({"speed": -1.0}, "speed"), ({"size": 1}, "size")],
)
def test_parameters_are_refused_by_name(parameters: dict[str, Parameter], word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        Physics(area(1, **parameters))


SCRIPT = """
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from pairsim.simulators.physics import Physics
from tests import builders
from tests.unit.simulators.test_physics_bits import area
spec = area(400, collisions=True)
for compiled in (True, False):
    simulator = Physics(spec)
    if compiled:
        simulator.prepare()
    table = Table(simulator.components)
    populate_initial(simulator, table, spec)
    for tick in range(1, 60):
        advance(simulator, table, [], tick, spec)
    print(table.digest())
print(sum(__cpu_features__[feature] for feature in __cpu_dispatch__))
"""


def test_another_kind_of_processor_gives_the_same_bits(tmp_path: Path) -> None:
    plain = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__),
    }
    outputs = []
    for settings_ in ({}, plain):
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", SCRIPT],
            env={**os.environ, **settings_},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        outputs.append(run.stdout.split())
    assert len({digest for *digests, _ in outputs for digest in digests}) == 1
    assert outputs[1][-1] == "0", "numpy still used its wide vectors"


def test_a_spare_does_not_load_the_compiler() -> None:
    code = "import sys, pairsim.simulators.physics; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_populate_is_the_same_everywhere_and_unique_in_the_world() -> None:
    tables = []
    for _ in range(2):
        simulator = Physics(area(30))
        table = Table(simulator.components)
        populate_initial(simulator, table, area(30))
        tables.append(table)
    assert tables[0].digest() == tables[1].digest()
    other = Table(Physics.components)
    spec = builders.area("b", bounds=BOX, entities=30)
    populate_initial(Physics(spec), other, spec)
    assert not set(other.ids.tolist()) & set(tables[0].ids.tolist())
