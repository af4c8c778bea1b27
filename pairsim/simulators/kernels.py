"""The physics compiled: the same bits as `reference.py`, faster.

Imported only by a replica that simulates, since numba alone takes more memory than a spare may. No fastmath: the
compiler may neither reorder nor fuse (a fused multiply-add would round once where numpy rounds twice).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import structlog

from pairsim.simulators.grid import CROWD, Grid

log = structlog.get_logger()

Floats = npt.NDArray[np.float32]
_F = TypeVar("_F", bound=Callable[..., None])


def _compiled(signature: str) -> Callable[[_F], _F]:
    """Compiles at import; kept on disk where a folder is writable, so that the next process starts at once."""

    def compile_(function: _F) -> _F:
        try:
            return cast("_F", numba.njit(signature, nogil=True, cache=True, error_model="numpy")(function))
        except RuntimeError:
            log.info("no folder for compiled kernels: every start compiles them (set NUMBA_CACHE_DIR)")
            return cast("_F", numba.njit(signature, nogil=True, error_model="numpy")(function))

    return compile_


@_compiled("void(float32[:,::1], float32[:,::1], float32, float32[::1], float32[::1])")
def move(position: Floats, velocity: Floats, dt: np.float32, low: Floats, high: Floats) -> None:
    """See `reference.move`."""
    for row in range(position.shape[0]):
        for axis in range(3):
            speed = velocity[row, axis]
            place = position[row, axis] + speed * dt
            floor, ceiling = low[axis], high[axis]
            turned = False
            if place < floor:
                place = floor + (floor - place)
                turned = True
            if place > ceiling:
                place = ceiling - (place - ceiling)
                turned = True
            if turned:
                velocity[row, axis] = -speed
            position[row, axis] = min(max(place, floor), ceiling)


@_compiled("void(float32[:,::1], float32)")
def limit(velocity: Floats, top: np.float32) -> None:
    """See `reference.limit`."""
    for row in range(velocity.shape[0]):
        for axis in range(3):
            velocity[row, axis] = min(max(velocity[row, axis], -top), top)


@_compiled(
    "void(float32[:,::1], float32[::1], float32, int64, int64, int64, int32, int32[::1], int32[::1], int32[::1])"
)
def _sort(
    position: Floats,
    low: Floats,
    inverse: np.float32,
    nx: int,
    ny: int,
    nz: int,
    crowd: int,
    cell: npt.NDArray[np.int32],
    start: npt.NDArray[np.int32],
    order: npt.NDArray[np.int32],
) -> None:
    """Counting sort by cell; `start` ends as the first place of every cell, `order[-1]` as the number sorted."""
    count = position.shape[0]
    start[:] = 0
    for row in range(count):
        x = min(np.int64((position[row, 0] - low[0]) * inverse), nx - 1) + 1
        y = min(np.int64((position[row, 1] - low[1]) * inverse), ny - 1) + 1
        z = min(np.int64((position[row, 2] - low[2]) * inverse), nz - 1) + 1
        here = np.int32((z * (ny + 2) + y) * (nx + 2) + x)
        if start[here + 1] < crowd:
            start[here + 1] += 1
            cell[row] = here
        else:
            cell[row] = -1
    for here in range(1, start.shape[0]):
        start[here] += start[here - 1]
    # Filling from the back keeps the rows of a cell in order and leaves `start` as it must be.
    order[count] = start[start.shape[0] - 1]
    for row in range(count - 1, -1, -1):
        here = cell[row]
        if here >= 0:
            start[here + 1] -= 1
            order[start[here + 1]] = row
    for here in range(start.shape[0] - 1):
        start[here] = start[here + 1]
    start[start.shape[0] - 1] = order[count]


@_compiled(
    "void(float32[:,::1], float32[:,::1], float32, int64, int64,"
    " int32[::1], int32[::1], int32[::1], float32[:,::1], float32[:,::1])"
)
def _exchange(
    position: Floats,
    velocity: Floats,
    reach: np.float32,
    row_length: int,
    layer: int,
    cell: npt.NDArray[np.int32],
    start: npt.NDArray[np.int32],
    order: npt.NDArray[np.int32],
    near: Floats,
    moving: Floats,
) -> None:
    """Sums every entity's changes; `near` and `moving` hold positions and velocities in the order of the cells."""
    count = order[position.shape[0]]
    for place in range(count):
        row = order[place]
        for axis in range(3):
            near[place, axis] = position[row, axis]
            moving[place, axis] = velocity[row, axis]
    for place in range(count):
        row = order[place]
        here = cell[row]
        px, py, pz = near[place, 0], near[place, 1], near[place, 2]
        vx, vy, vz = moving[place, 0], moving[place, 1], moving[place, 2]
        cx = cy = cz = np.float32(0)
        for z in range(-1, 2):
            for y in range(-1, 2):
                middle = here + z * layer + y * row_length
                for other in range(start[middle - 1], start[middle + 2]):
                    dx, dy, dz = px - near[other, 0], py - near[other, 1], pz - near[other, 2]
                    square = dx * dx + dy * dy + dz * dz
                    if square < reach and square > np.float32(0):
                        wx, wy, wz = vx - moving[other, 0], vy - moving[other, 1], vz - moving[other, 2]
                        along = dx * wx + dy * wy + dz * wz
                        if along < np.float32(0):
                            factor = along / square
                            cx -= factor * dx
                            cy -= factor * dy
                            cz -= factor * dz
        velocity[row, 0] = vx + cx
        velocity[row, 1] = vy + cy
        velocity[row, 2] = vz + cz


class Collider:
    """`reference.collide` with its scratch memory, which holds nothing from one tick to the next."""

    def __init__(self, grid: Grid, diameter: np.float32) -> None:
        self._grid = grid
        self._low = np.array(grid.low, np.float32)
        self._inverse = np.float32(1) / np.float32(grid.edge)
        self._reach = diameter * diameter
        self._start = np.empty(grid.cells + 1, np.int32)
        self._room = -1

    def collide(self, position: Floats, velocity: Floats) -> None:
        """Changes velocities in place, (n, 3) each."""
        count = len(position)
        if count > self._room:
            self._room = count + count // 4
            self._cell = np.empty(self._room, np.int32)
            self._order = np.empty(self._room + 1, np.int32)
            self._near = np.empty((self._room, 3), np.float32)
            self._moving = np.empty((self._room, 3), np.float32)
        nx, ny, nz = self._grid.counts
        order = self._order[: count + 1]
        _sort(position, self._low, self._inverse, nx, ny, nz, CROWD, self._cell, self._start, order)
        _exchange(
            position, velocity, self._reach, nx + 2, (nx + 2) * (ny + 2),
            self._cell, self._start, order, self._near, self._moving,
        )  # fmt: skip
