"""Simulators with faults that a rehearsal finds, and such as it must not complain about."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, cast

import numpy as np
import numpy.typing as npt

from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.table import Table
from tests.unit.model.counting import Counting


class Remembering(Counting):
    """Counts its own ticks instead of those of the area."""

    _ticks = 0

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        self._ticks += 1
        table.column("count")[2:] = self._ticks


class Painted(Counting):
    """Differs in one number of a wider column."""

    _seen = 0

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        self._seen += 1
        colour = cast("npt.NDArray[np.uint8]", table.column("colour"))
        colour[1, 1] = self._seen


class Spawning(Counting):
    """Numbers the entities that it creates by an attribute."""

    _next = 1000

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.spawn(np.array([self._next]), {})
        self._next += 1


class Growing(Counting):
    """Creates an entity in its first tick, whichever that is."""

    _begun = False

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        if not self._begun:
            table.spawn(np.array([1000]), {})
        self._begun = True


class Sensing(Counting):
    """Passes what it perceives to `step` by an attribute."""

    _weight = 0.0

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        table.column("weight")[:] = self._weight

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        self._weight = 0.5
        return ()


class Choosy(Counting):
    """Rejects what its own count of ticks says."""

    _ticks = 0

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        self._ticks += 1
        if self._ticks == 3:
            batch.reject(0, ValueError("enough"))


class Starting(Counting):
    """Makes in its first tick what later ticks need."""

    _place: npt.NDArray[np.int64]

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        if tick == 1:
            self._place = table.ids.copy()
        table.column("count")[:] = self._place


class Random(Counting):
    """Draws from the random numbers of its process."""

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(np.arange(4), {"weight": np.random.default_rng().random(4)})


class Meddling(Counting):
    """Changes the table where it should only read."""

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        table.column("count")[:] = 7
        return ()


class Late(Counting):
    """Lets a thread write when `step` has returned and another instance is being populated."""

    started, copied = threading.Event(), threading.Event()

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        super().populate(table, rng)
        if self.started.is_set():
            self.copied.set()

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        if tick == 3 and not self.started.is_set():
            threading.Thread(target=self._finish, args=(table,), name="finisher").start()
            self.started.set()

    def _finish(self, table: Table) -> None:
        self.copied.wait()
        table.column("count")[:] = 9


class Pooled(Counting):
    """Has a pool of threads that waits between the ticks."""

    pools: ClassVar[list[ThreadPoolExecutor]] = []

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        pool = ThreadPoolExecutor(1, thread_name_prefix="half")
        self.pools.append(pool)
        pool.submit(int).result()


class Listening(Counting):
    """Has a thread that waits for the outside."""

    ends: ClassVar[list[threading.Event]] = []

    def prepare(self) -> None:
        self.ends.append(threading.Event())
        threading.Thread(target=self.ends[-1].wait, daemon=True).start()

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        self.prepare()
        return ()


class Crowding(Counting):
    """Creates many entities, whatever it is asked for, and remembers its ticks."""

    _ticks = 0
    copies: ClassVar[list[int]] = []

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(np.arange(200), {})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        self._ticks += 1
        table.column("count")[:] = self._ticks


class Watering(Counting):
    """Perceives commands of numpy's types, and such that do not fit; an object is the reason of a rejection."""

    batches: ClassVar[list[list[Command]]] = []
    rejected: ClassVar[list[dict[int, str]]] = []

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        for number, given in enumerate([np.int16(tick), np.float32(1.5), "much"]):
            amount = cast("dict[str, float]", {"amount": given})
            yield Command(f"seen-{tick}-{number}", "add", cast("int", table.ids[0]), amount)
        yield Command(f"jump-{tick}", "jump", 0)

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        super().step(table, batch, tick, rng)
        batch.reject(0, KeyError("amount"))
        self.batches.append(list(batch.commands))
        self.rejected.append(dict(batch.rejected))
