"""A simulator that does what no simulator should, when a command says so."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterable

import numpy as np

from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.simulation.simulator import Batch
from pairsim.model.state.schema import Component, Schema
from pairsim.model.state.table import Table
from tests.unit.model.counting import BOX

SIMULATOR = f"{__name__}:Faulty"
PRINTED_BYTES = 100 * 10**6
DESCRIPTOR = 3


def area(entities: int = 10, simulator: str = SIMULATOR, **parameters: int) -> AreaSpec:
    return AreaSpec(
        area="a", plane="p", simulator=simulator, parameters=dict(parameters), seed=1, bounds=BOX, world=BOX,
        entities=entities,
    )  # fmt: skip


def raise_name_error() -> None:
    raise NameError("name 'x' is not defined")


def raise_in_numpy() -> None:
    np.zeros(3).reshape(2, 2)


def raise_system_exit() -> None:
    sys.exit("enough")


def raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt


def print_much() -> None:
    line = "x" * 99
    for _ in range(PRINTED_BYTES // 100_000):
        print("\n".join([line] * 1000))  # noqa: T201


def close_connection() -> None:
    os.close(DESCRIPTOR)


def fork_and_die() -> None:
    if os.fork() == 0:
        while True:
            time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def write_garbage() -> None:
    os.write(DESCRIPTOR, b"\xff" * 1000)


def write_unknown_kind() -> None:
    os.write(DESCRIPTOR, struct.pack("<II", 0, 77))


def report_rows() -> None:
    os.write(DESCRIPTOR, struct.pack("<IIQQIId", 32, 17, 1, 2**60, 0, 0, 0.0))


def answer_twice() -> None:
    os.write(DESCRIPTOR, struct.pack("<IIQQIId", 32, 17, 1, 10, 0, 0, 0.0))


def sleep() -> None:
    while True:
        time.sleep(1)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def hold_the_interpreter() -> None:
    ctypes.PyDLL(None).sleep(1000)


def read_null() -> None:
    ctypes.string_at(0)


def exit_silently() -> None:
    os._exit(0)


def use_up_memory() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()  # noqa: PTH123, SIM115
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, hard))
    try:
        np.ones(2**27)  # here
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


FAULTS: list[Callable[[], None]] = [
    raise_name_error, raise_in_numpy, raise_system_exit, raise_keyboard_interrupt, print_much, close_connection,
    fork_and_die, write_garbage, write_unknown_kind, report_rows, answer_twice, sleep, stop, hold_the_interpreter,
    read_null, exit_silently, use_up_memory,
]  # fmt: skip


def command(fault: Callable[[], None]) -> Command:
    return Command("c", "do", 0, {"what": float(FAULTS.index(fault))})


class Faulty:
    """Counts ticks and does what commands say; in `perceive`, if a parameter says so."""

    components = Schema((Component("count", "int64"),))
    operations = (Operation("do", (Component("what", "int32"),)),)

    def __init__(self, area: AreaSpec) -> None:
        self._area = area

    def prepare(self) -> None:
        time.sleep(float(self._area.parameters.get("prepare_ms", 0)) / 1e3)

    def populate(self, table: Table, rng: np.random.Generator) -> None:
        table.spawn(np.arange(self._area.entities), {})

    def step(self, table: Table, batch: Batch, tick: int, rng: np.random.Generator) -> None:
        count = table.column("count")
        count[:] = tick
        _places, _entities, arguments = batch.of("do")
        for what in arguments["what"].tolist():
            FAULTS[what]()

    def perceive(self, table: Table, tick: int) -> Iterable[Command]:
        if tick <= 3:  # the rehearsal
            return []
        what = self._area.parameters.get("perceive")
        if what is not None and tick > 10:
            FAULTS[int(what)]()
        return [Command("seen", "do", int(table.ids[-1]), {"what": tick})]
