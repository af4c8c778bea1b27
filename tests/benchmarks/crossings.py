"""What a tick of a large area spends on its borders, beside the same with plain numpy, in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pairsim.model.authority import Cell
from pairsim.model.borders import (
    AreaMap,
    Arrival,
    BorderInputs,
    BorderLimits,
    BorderState,
    Bundle,
    LinkMessage,
    cross,
    take,
)
from pairsim.model.borders.codec import decode_message, encode_message
from pairsim.model.geometry import Box
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from tests.benchmarks.figures import Figure, times

ENTITIES, MOVING = 1_000_000, 10_000
SCHEMA = Schema(
    (Component("position", "float32", 3), Component("velocity", "float32", 3), Component("health", "int16"))
)
LOW, HIGH = np.zeros(3, np.float32), np.full(3, 100.0, np.float32)

Columns = dict[str, npt.NDArray[np.generic]]


async def crossings(_folder: Path, rounds: int) -> list[Figure]:
    """The look for crossings, and entities that leave and come; the time of a tick outside of its step."""
    area = _Area()
    plain = {"id": area.table.ids.copy(), **{name: c.copy() for name, c in area.table.columns().items()}}
    count = f"{ENTITIES:,} entities"
    looks = [_ms(area.look) for _ in range(rounds)]
    plain_looks = [_ms(_plain_look, plain) for _ in range(rounds)]
    leaves, comes, plain_leaves, plain_comes = [], [], [], []
    for _ in range(rounds):
        area.push_out()
        leaves.append(_ms(area.look))
        message = area.answered()
        comes.append(_ms(area.take, message))
        rows = area.rng.choice(ENTITIES, MOVING, replace=False)
        gone = {name: column[rows] for name, column in plain.items()}
        plain_leaves.append(_ms(_plain_leave, plain, rows))
        plain_comes.append(_ms(_plain_come, plain, gone))
    return [
        times(f"borders: none of {count} crosses", looks, p50=1.0),
        times(f"the same, positions compared by plain numpy: {count}", plain_looks),
        times(f"borders: {MOVING:,} of {count} cross", leaves, p50=5.0),
        times(f"the same rows removed by plain numpy masks, without a lookup: {count}", plain_leaves),
        times(f"borders: {MOVING:,} come to {count}, decoded", comes, p50=5.0),
        times(f"the same rows appended by plain numpy, ids compared: {count}", plain_comes),
    ]


class _Area:
    """An area of a million entities, whose neighbour sends back what it gets under new ids."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(1)
        self.state, self.table, self._tick = BorderState(1, limits=BorderLimits()), Table(SCHEMA), 0
        self.state.map = AreaMap(1, (_cell(1, 0.0), _cell(2, 100.0)))
        position = self.rng.random((ENTITIES, 3)) * 99.0
        self.table.spawn(self.rng.permutation(ENTITIES), {"position": position.astype(np.float32)})
        self._next = ENTITIES

    def push_out(self) -> None:
        rows = self.rng.choice(len(self.table), MOVING, replace=False)
        self.table.column("position")[rows, 0] = 105.0  # type: ignore[call-overload]

    def look(self) -> None:
        self._tick += 1
        cross(self.state, self.table, self._tick)

    def answered(self) -> bytes:
        """Acknowledges what left, and returns a message with as many other entities."""
        link = self.state.link(2)
        (message,) = link.outbox.values()
        bundle = message.body
        assert isinstance(bundle, Bundle)
        assert len(bundle) == MOVING
        link.drop(link.sent)
        ids = np.arange(self._next, self._next + MOVING)
        self._next += MOVING
        inside: Mapping[str, npt.NDArray[np.generic]] = {**bundle.columns, "position": np.ones((MOVING, 3), np.float32)}
        return encode_message(LinkMessage(Bundle(ids, inside, bundle.sizes, version=1), self.state.clock, 0))

    def take(self, message: bytes) -> None:
        self._tick += 1
        arrival = Arrival(2, self.state.link(2).taken + 1, decode_message(message, SCHEMA))
        taken = take(self.state, self.table, BorderInputs(arrivals=(arrival,)), self._tick)
        assert len(taken.arrived) == MOVING


def _cell(number: int, low: float) -> Cell:
    return Cell(number=number, area=f"area-{number}", bounds=Box((low, 0.0, 0.0), (low + 100.0, 100.0, 100.0)))


def _plain_look(columns: Columns) -> None:
    position = columns["position"].view(np.float32)
    assert not np.flatnonzero(~((position >= LOW) & (position < HIGH)).all(axis=1)).size


def _plain_leave(columns: Columns, rows: npt.NDArray[np.int64]) -> None:
    kept = np.ones(len(columns["id"]), np.bool_)
    kept[rows] = False
    columns.update({name: column[kept] for name, column in columns.items()})


def _plain_come(columns: Columns, more: Columns) -> None:
    assert not np.isin(more["id"], columns["id"]).any()
    columns.update({name: np.concatenate((column, more[name])) for name, column in columns.items()})


def _ms(function: Callable[..., None], *arguments: object) -> float:
    start = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - start) * 1e3
