"""What physics must keep: momentum, energy, the walls, every contact; and what keeps its bits the same everywhere."""

from __future__ import annotations

import re
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairsim.model.area import AreaSpec, Parameter
from pairsim.model.geometry import Box
from pairsim.model.simulation.simulator import ParameterError
from pairsim.model.simulation.tick import advance, populate_initial
from pairsim.model.state.table import Table
from pairsim.simulators import kernels, reference
from pairsim.simulators.grid import MAX_CELLS, Grid
from pairsim.simulators.physics import MAX_SPEED, Physics
from tests import builders

TOP = np.float32(MAX_SPEED)
Floats = npt.NDArray[np.float32]


def area(box: Box, entities: int = 0, tick_rate: float = 20.0, **parameters: Parameter) -> AreaSpec:
    return builders.area("a", parameters=parameters, seed=3, tick_rate=tick_rate, bounds=box, entities=entities)


def crowd(count: int, side: float, seed: int) -> tuple[Floats, Floats]:
    """Positions within a cube, velocities up to 5."""
    rng = np.random.default_rng(seed)
    position = rng.random((count, 3), np.float32) * np.float32(side)
    return position, (rng.random((count, 3), np.float32) * np.float32(10)) - np.float32(5)


@pytest.mark.parametrize("side", [6.0, 20.0])
def test_a_dense_world_keeps_its_momentum_and_energy(side: float) -> None:
    position, velocity = crowd(2000, side, 1)
    collider = kernels.Collider(np.float32(1), TOP)
    momentum, energy = velocity.sum(0, np.float64), np.square(velocity, dtype=np.float64).sum()
    before = velocity.copy()
    for _ in range(50):
        position += velocity * np.float32(0.05)
        collider.collide(position, velocity)
    assert np.count_nonzero(velocity != before) > 1000
    assert np.abs(velocity.sum(0, np.float64) - momentum).max() < 1e-2
    assert np.square(velocity, dtype=np.float64).sum() == pytest.approx(energy, rel=1e-4)


@pytest.mark.parametrize(("count", "side", "diameter"), [(300, 7.0, 1.0), (300, 90.0, 5.0), (200, 3.0, 0.4), (9, 1, 5)])
def test_no_contact_is_missed(count: int, side: float, diameter: float) -> None:
    """The cell list finds what a look at all pairs finds."""
    position, _ = crowd(count, side, 2)
    grid, reach = reference.grid_of(position, np.float32(diameter)), np.float32(diameter) * np.float32(diameter)
    start, order, cell = reference.cell_list(position, grid)
    first, second = (order[places] for places in reference._touching_pairs(position[order], start, cell, grid, reach))
    apart = position[:, None] - position[None]
    square = apart[..., 0] * apart[..., 0] + apart[..., 1] * apart[..., 1] + apart[..., 2] * apart[..., 2]
    one, other = np.nonzero(np.triu(square < reach, 1))
    assert len(one) > 0
    assert {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)} == {
        frozenset(pair) for pair in zip(one.tolist(), other.tolist(), strict=True)
    }
    assert len(first) == len(one)


@pytest.mark.parametrize(("count", "side", "diameter"), [(3000, 9.0, 1.0), (2000, 2000.0, 0.01), (1500, 4.0, 0.3)])
def test_many_ticks_of_the_kernels_have_the_bits_of_the_definition(count: int, side: float, diameter: float) -> None:
    states = [crowd(count, side, 3), crowd(count, side, 3)]
    low, high, dt = np.zeros(3, np.float32), np.full(3, side, np.float32), np.float32(0.05)
    collider = kernels.Collider(np.float32(diameter), TOP)
    for _ in range(8):
        kernels.move(*states[0], TOP, dt, low, high)
        collider.collide(*states[0])
        reference.move(*states[1], TOP, dt, low, high)
        reference.collide(*states[1], np.float32(diameter), TOP)
        assert [a.tobytes() for a in states[0]] == [a.tobytes() for a in states[1]]


def test_scratch_memory_of_a_larger_tick_does_not_change_results() -> None:
    used, fresh = (kernels.Collider(np.float32(1), TOP) for _ in range(2))
    used.collide(*crowd(4000, 10, 4))
    for count in (1, 2, 700):
        position, one = crowd(count, 3, 5)
        other = one.copy()
        used.collide(position, one)
        fresh.collide(position, other)
        assert one.tobytes() == other.tobytes()


signed = st.sampled_from([0.0, -0.0, 1.0, -1.0, 10.0, 25.0, -1e7, 1e7])


@given(st.lists(st.tuples(signed, signed, signed), min_size=1, max_size=30), st.sampled_from([0.05, 3600.0]))
@settings(deadline=None)
def test_zeros_keep_their_sign_and_no_entity_leaves_the_world(
    rows: list[tuple[float, float, float]], dt: float
) -> None:
    low, high = np.array([0, -0.0, -1], np.float32), np.array([10, 10, 0], np.float32)
    results = []
    for move in (kernels.move, reference.move):
        position, velocity = np.array(rows, np.float32), np.array(rows[::-1], np.float32)
        move(position, velocity, TOP, np.float32(dt), low, high)
        results.append((position.tobytes(), velocity.tobytes()))
        assert ((position >= low) & (position <= high) & (np.abs(velocity) <= TOP)).all()
    assert results[0] == results[1]


@given(
    st.lists(st.floats(-1e7, 1e7, width=32), min_size=6, max_size=6),
    st.floats(1e-3, 2e6),
    st.integers(1, 2_000_000),
)
def test_a_grid_never_has_more_cells_than_allowed(corners: list[float], reach: float, entities: int) -> None:
    low = [min(pair) for pair in zip(corners[:3], corners[3:], strict=True)]
    high = [max(pair) for pair in zip(corners[:3], corners[3:], strict=True)]
    grid = Grid.over(low, high, reach, entities)
    assert 27 <= grid.cells <= min(MAX_CELLS, max(8 * entities, 512))
    assert grid.edge >= reach
    assert all(
        count * grid.edge >= b - a or count * grid.edge == pytest.approx(b - a)
        for a, b, count in zip(low, high, grid.counts, strict=True)
    )
    assert 16 <= grid.crowd <= 64


def test_a_sphere_bounces_off_the_edge_of_the_world() -> None:
    position, velocity = np.array([[9.5, 5, 0.25]], np.float32), np.array([[10, 0, -10]], np.float32)
    kernels.move(position, velocity, TOP, np.float32(0.1), np.zeros(3, np.float32), np.full(3, 10, np.float32))
    assert position.tolist() == [[9.5, 5, 0.75]]
    assert velocity.tolist() == [[-10, 0, 10]]


@pytest.mark.parametrize("box", [Box((-1e7, -1e7, -1e7), (1e7, 1e7, 1e7)), Box((1, 2, 3), (1.0000002, 2.5, 4))])
def test_entities_are_born_inside_their_area(box: Box) -> None:
    spec = area(box, 5000)
    table = Table(Physics.components)
    populate_initial(Physics(spec), table, spec)
    position = np.asarray(table.column("position"), np.float64)
    assert (position >= np.array(box.min, np.float32)).all()
    assert (position < np.array(box.max, np.float32)).all()
    assert len(set(table.ids.tolist())) == 5000


@pytest.mark.parametrize(
    ("box", "tick_rate", "word"),
    [(Box((0, 0, 0), (1, 1, 2e7)), 20.0, "bounds"), (Box((0, 0, 0), (1, 1, 1)), 1e-5, "tickRate")],
)
def test_a_world_beyond_float32_is_refused(box: Box, tick_rate: float, word: str) -> None:
    with pytest.raises(ParameterError, match=word):
        Physics(area(box, tick_rate=tick_rate))


def test_without_the_compiler_the_reference_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = area(Box((0, 0, 0), (9, 9, 9)), 600, collisions=True)
    digests = []
    for blocked in (False, True):
        if blocked:
            monkeypatch.delattr("pairsim.simulators.kernels")
            monkeypatch.setitem(sys.modules, "pairsim.simulators.kernels", None)
        simulator = Physics(spec)
        simulator.prepare()
        assert (simulator._move is reference.move) == blocked
        table = Table(simulator.components)
        populate_initial(simulator, table, spec)
        for tick in range(1, 10):
            advance(simulator, table, [], tick, spec)
        digests.append(table.digest())
    assert digests[0] == digests[1]


FUSED = re.compile(
    r"\bv?fn?m(?:add|sub|la|ls)\w*|\bllvm\.(?:fma|fmuladd)\b|\bf(?:add|sub|mul|div) (?:fast|contract|reassoc)\b"
)


@pytest.mark.parametrize("name", ["move", "_extent", "_sort_by_cell", "_collide_pairs", "_write_back"])
def test_no_kernel_has_a_fused_operation(name: str) -> None:
    """A fused multiply-add rounds once where the definition rounds twice."""
    kernel = getattr(kernels, name)
    fresh = kernels.numba.njit(kernel.nopython_signatures[0], nogil=True, error_model="numpy")(kernel.py_func)
    texts = [*fresh.inspect_asm().values(), *fresh.inspect_llvm().values()]
    assert all(texts)
    assert not [found for text in texts for found in FUSED.findall(text)]
