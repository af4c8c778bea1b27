"""The answers of an engine to the requests of its node.

Whatever the author's code raises or returns becomes an answer; only a request that the node should not have sent ends
the engine.
"""

from __future__ import annotations

import gc
import importlib
import platform
import time
from collections.abc import Callable
from importlib.metadata import version

from pairsim.engine.child.loaded_code import LoadedCode
from pairsim.engine.child.raised import raised_error
from pairsim.engine.child.rehearsal import prepare_and_rehearse
from pairsim.engine.child.simulator_code import SimulatorCode
from pairsim.engine.descriptors import MEMORY
from pairsim.engine.framing import PROTOCOL, EngineHello, EngineProtocolError, MessageKind, decode_hello
from pairsim.engine.layout import TABLES, MemoryLayout
from pairsim.engine.messages import (
    Answer,
    Done,
    Perceived,
    Raised,
    Ready,
    Turn,
    decode_memory,
    decode_turn,
    encode_answer,
)
from pairsim.engine.port import EngineRaisedError
from pairsim.engine.shared_memory import SharedMemory
from pairsim.model.area import AreaSpec
from pairsim.model.simulation.error_location import source_files
from pairsim.model.simulation.simulator import load_simulator
from pairsim.model.state.table import Table

_Call = Callable[[SimulatorCode, "_SharedTable", Turn], Answer]


class Answering:
    """The simulator of one area and its tables, as the node's requests make them."""

    def __init__(self) -> None:
        """Waits for the first request."""
        self._spec: AreaSpec | None = None
        self._kind: type | None = None
        self._code: SimulatorCode | None = None
        self._tables: list[_SharedTable] = []

    def answer(self, kind: int, body: bytes) -> bytes:
        """Does what a request asks, and returns the message that answers it.

        Raises:
            EngineProtocolError: The request cannot be read, or comes too early.
        """
        work = self._work(kind, body)
        try:
            return encode_answer(work())
        except BaseException as error:  # noqa: BLE001 - of the author's code, whatever it is
            return encode_answer(self._raised(error))

    def _work(self, kind: int, body: bytes) -> Callable[[], Answer]:
        if kind == MessageKind.HELLO and self._code is None:
            hello = decode_hello(body)
            return lambda: self._load(hello)
        if kind == MessageKind.MEMORY and self._code is not None and not self._tables:
            layout, code = decode_memory(body), self._code
            return lambda: self._map(layout, code)
        calls: dict[int, _Call] = {
            MessageKind.POPULATE: self._populate,
            MessageKind.STEP: self._step,
            MessageKind.PERCEIVE: self._perceive,
        }
        call = calls.get(MessageKind(kind)) if kind in calls and self._tables else None
        if call is None or self._code is None:
            raise EngineProtocolError(f"sent a message of the kind {kind}, which does not belong here")
        turn, code = decode_turn(MessageKind(kind), body), self._code
        if turn.table >= TABLES:
            raise EngineProtocolError(f"named table {turn.table}")
        return lambda: call(code, self._tables[turn.table], turn)

    def _load(self, hello: EngineHello) -> Ready:
        self._spec, self._kind = hello.area, None
        importlib.invalidate_caches()  # a package may have been installed while this engine waited
        kind = load_simulator(hello.simulator)
        self._kind = kind
        loaded = LoadedCode(kind)
        code = SimulatorCode(prepare_and_rehearse(kind, hello.area), hello.area)
        ready = Ready(
            PROTOCOL, f"pairsim {version('pairsim')}, Python {platform.python_version()}",
            list(code.components), list(code.operations), sorted(source_files(kind)), loaded.fingerprint(),
            code.perceives,
        )  # fmt: skip
        self._code = code
        return ready

    def _map(self, layout: MemoryLayout, code: SimulatorCode) -> Done:
        try:
            memory = SharedMemory(MEMORY, layout, code.components)
        except OSError as error:
            raise EngineRaisedError(
                f"the engine cannot map {layout.total_bytes:,} bytes of memory ({error.strerror}): do not limit its"
                " addresses (ulimit -v)"
            ) from error
        self._tables = [_SharedTable(memory.table(number)) for number in range(TABLES)]
        _keep_collections_short()
        return Done()

    @staticmethod
    def _populate(code: SimulatorCode, shared: _SharedTable, turn: Turn) -> Done:
        began = time.monotonic()
        shared.take_over(turn)
        code.populate(shared.table)
        return shared.done(0, began, {})

    @staticmethod
    def _step(code: SimulatorCode, shared: _SharedTable, turn: Turn) -> Done:
        began = time.monotonic()
        shared.take_over(turn)
        return shared.done(turn.tick, began, code.advance(shared.table, turn.commands, turn.tick))

    @staticmethod
    def _perceive(code: SimulatorCode, shared: _SharedTable, turn: Turn) -> Perceived:
        shared.take_over(turn)
        return Perceived(code.perceive(shared.table, turn.tick))

    def _raised(self, error: BaseException) -> Raised:
        if self._spec is None:
            return Raised(f"the engine raised {type(error).__name__}")
        try:
            described = raised_error(error, self._spec, self._kind)
            return Raised(described.sentence, described.traceback)
        except BaseException as another:  # noqa: BLE001 - for example MemoryError once more
            return Raised(
                f"the simulator {self._spec.simulator} raised {type(error).__name__}, which cannot be described:"
                f" that raised {type(another).__name__}"
            )


def _keep_collections_short() -> None:
    """Keeps the garbage collector away from what has been loaded, which lives as long as the process.

    The commands of ticks are objects that come and go, so that a collection of all modules and compilers, which takes
    tens of milliseconds, would follow every few seconds in the middle of a tick.
    """
    gc.collect()
    gc.freeze()


class _SharedTable:
    """A table, and the layout that the node knows of it."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._known = table.layout

    def take_over(self, turn: Turn) -> None:
        """Adopts the rows of the node."""
        known = self.table.layout == self._known  # else the call before, whose answer did not say so, changed ids
        self.table.take_over(turn.rows, ids_changed=turn.ids_changed)
        if known:
            self._known = self.table.layout

    def done(self, tick: int, began: float, rejected: dict[int, str]) -> Done:
        """Returns the answer that makes it the node's turn."""
        changed, self._known = self.table.layout != self._known, self.table.layout
        return Done(tick, len(self.table), changed, time.monotonic() - began, rejected)
