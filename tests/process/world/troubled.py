"""Simulators that fail on command; a world imports a copy of this file from the folder of a test."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pairsim.simulator import AreaSpec, Batch, Command, Component, Operation, Schema, Table

MENDED, ONCE = Path(__file__).with_name("mended"), Path(__file__).with_name("once")
"""While the first file exists, nothing fails; the second one exists after the engine has ended once."""


class Troubled:
    """Counts its ticks, and raises, hangs, or ends its process for a command."""

    components = Schema((Component("ticks", "int64"), Component("fixed", "int64")))
    operations = (Operation("trouble", (Component("kind", "int64"),)),)

    def __init__(self, area: AreaSpec) -> None:
        self._count = area.entities

    def prepare(self) -> None:
        """Has nothing to compile."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(np.arange(1, self._count + 1, dtype=np.int64), {})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.column("ticks")[:] += 1
        for kind in batch.of("trouble")[2]["kind"].tolist():
            table.column("fixed")[:] += kind
            if MENDED.exists():
                continue
            if kind == 1:
                raise ValueError("kind 1 is not allowed")
            while kind == 2:
                time.sleep(0.01)
            if kind == 3:
                ctypes.string_at(0)
            if kind == 4 and not ONCE.exists():
                ONCE.touch()
                os._exit(9)

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        return ()


class Holder(Troubled):
    """Keeps the interpreter lock for most of a tick."""

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        ctypes.PyDLL(None).usleep(300_000)
        super().step(table, batch, tick, rng)
