"""The engine of a replica as a process of its own: requests with deadlines, and errors that are sentences."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from pairsim.engine.fingerprint import files_fingerprint
from pairsim.engine.framing import EngineProtocolError, MessageKind, encode_hello
from pairsim.engine.host.child_process import ChildProcess
from pairsim.engine.host.ending import DISCONNECTED, location, stopped_phrase
from pairsim.engine.host.output import EngineLog
from pairsim.engine.host.spawn import python_engine
from pairsim.engine.layout import MOST_ROWS, make_layout
from pairsim.engine.memory_file import seal_length
from pairsim.engine.messages import (
    Answer,
    Done,
    Perceived,
    Raised,
    Ready,
    Turn,
    check_done,
    decode_answer,
    encode_memory,
    encode_turn,
    schema_of,
)
from pairsim.engine.port import EngineHungError, EngineLostError, EngineRaisedError
from pairsim.engine.shared_memory import SharedMemory
from pairsim.model.area import AreaSpec
from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table
from pairsim.model.state.table_memory import TableFullError

AnswerT = TypeVar("AnswerT", bound=Answer)

_MAP_SECONDS = 2.0
"""How long the engine may take to map the memory."""

_REPORT_SECONDS, _REPORT_POLL_SECONDS = 0.1, 0.005
_EXIT_SECONDS = 0.3
"""How long the end of a process may come after the end of its connection."""


class EngineProcess:
    """An engine with a process of its own.

    One thread calls `start` and the methods of `Engine`; any thread may call `close` and read the other attributes.

    Attributes:
        components: The simulator's components; with the next four, known after `start`.
        operations: The simulator's own operations.
        table: The state of the area.
        check_table: A second table of the same schema.
        code: The fingerprint of the simulator's code: of the files that the engine reports, or of its program.
        engine: The name and version of the engine.
        seconds: How long the engine's last call took, as it says itself.
    """

    components: Schema
    operations: tuple[Operation, ...]
    table: Table
    check_table: Table

    def __init__(
        self,
        spec: AreaSpec,
        log: Path,
        *,
        command: Sequence[str] | None = None,
        limit: float | None = None,
        most_rows: int = MOST_ROWS,
        on_end: Callable[[str], None] | None = None,
        child: ChildProcess | None = None,
    ) -> None:
        """Starts the process, which then waits for `start`.

        Args:
            spec: The area.
            log: The file for the engine's output.
            command: The engine's command line; without it, the engine for simulators in Python.
            limit: Seconds within which a call must return; without it, those of the area.
            most_rows: The most entities of the area.
            on_end: Called in another thread with the reason when the process ends, also when it is closed.
            child: A process that has been started, and asked for the simulator of this area.

        Raises:
            EngineLostError: The process cannot be started.
        """
        self.engine, self.code, self.seconds = "", "", 0.0
        self._command = command
        self._spec, self._most_rows = spec, most_rows
        self._limit = spec.hang_seconds if limit is None else limit
        self._populate_limit = self._limit
        self._files: list[str] = []
        self._layouts: dict[int, int] = {}
        self._perceives = True
        self._lost = ""
        self._began: float | None = None
        self._on_end = on_end
        self._made = threading.Event()
        self._asked = child is not None
        try:
            self._child = child or ChildProcess(command or python_engine(), EngineLog(log).write, self._report_end)
        except OSError as error:
            raise EngineLostError(f"could not be started: {error.strerror}") from error
        if child is not None:
            child.report_end_to(self._report_end)
        self._made.set()

    @property
    def pid(self) -> int:
        """The process id of the engine."""
        return self._child.pid

    @property
    def preparing_seconds(self) -> float | None:
        """How long the simulator has been preparing; None if it does not."""
        began = self._began
        return None if began is None else time.monotonic() - began

    @property
    def lost(self) -> str:
        """Why the engine ended, as a phrase; empty while it runs."""
        return self._lost or self._child.reason

    def start(self, seconds: float) -> None:
        """Lets the engine load, prepare and rehearse the simulator.

        Args:
            seconds: The time limit, for `populate` as well; compilers may need minutes.

        Raises:
            EngineError: The simulator cannot be used.
        """
        self._began = time.monotonic()
        try:
            ready = self._ask(b"" if self._asked else encode_hello(self._spec), Ready, seconds)
            try:
                self.components = schema_of(ready)
            except EngineProtocolError as error:
                raise self._broken(error) from error
            self.operations, self.engine, self._files = tuple(ready.operations), ready.engine, ready.files
            self._perceives = ready.perceives
            self.code = ready.code or files_fingerprint(self._command[:1] if self._command else ready.files)
            self._share_memory()
            self._populate_limit = seconds
        finally:
            self._began = None

    def populate(self) -> None:
        """Fills `table`, which must be empty, with the entities of tick 0."""
        self._advance(MessageKind.POPULATE, self.table, (), 0, self._populate_limit)

    def advance(self, table: Table, commands: Sequence[Command], tick: int) -> dict[int, str]:
        """Advances a table from tick - 1 to `tick`; returns the reasons of rejected commands by place."""
        return self._advance(MessageKind.STEP, table, commands, tick, self._limit)

    def perceive(self, tick: int) -> list[Command]:
        """Returns the commands for a tick that the simulator perceives; asks no engine that perceives nothing."""
        if not self._perceives:
            return []
        turn = Turn(0, self._ids_changed(self.table), tick, len(self.table))
        answer = self._ask(encode_turn(MessageKind.PERCEIVE, turn), Perceived, self._limit)
        self._layouts[0] = self.table.layout
        return answer.commands

    def close(self) -> None:
        """Ends the engine and all processes that it has started."""
        self._lost = self._lost or "was closed"
        self._child.channel.shut()
        self._child.close()

    def _report_end(self, reason: str) -> None:
        self._made.wait()  # a program may end before this object has its process
        if self._on_end is not None:
            self._on_end(self._lost or self._with_location(reason))

    def _share_memory(self) -> None:
        layout = make_layout(self.components, self._most_rows)
        fd = self._child.memory
        try:
            os.ftruncate(fd, layout.total_bytes)
            seal_length(fd)
            memory = SharedMemory(fd, layout, self.components)
        except OSError as error:
            raise EngineLostError(f"has no memory: {error.strerror}") from error
        except TableFullError as error:  # it has cut the file between the two calls
            raise self._broken(EngineProtocolError(f"has cut its memory: {error}")) from error
        self._child.on_ready()  # the thread that watches maps the memory now, whose length is fixed
        self.table, self.check_table = memory.table(0), memory.table(1)
        self._ask(encode_memory(layout), Done, max(self._limit, _MAP_SECONDS))
        self._capacity = layout.capacity

    def _advance(
        self, kind: MessageKind, table: Table, commands: Sequence[Command], tick: int, limit: float
    ) -> dict[int, str]:
        number = 1 if table is self.check_table else 0
        turn = Turn(number, self._ids_changed(table), tick, len(table), commands)
        try:
            done = self._ask(encode_turn(kind, turn), Done, limit, len(commands))
            check_done(done, tick, len(commands), self._capacity)
        except EngineProtocolError as error:
            table.ids_changed()
            raise self._broken(error) from error
        except Exception:
            table.ids_changed()  # whatever the engine has written there, it is not in the lookup
            raise
        table.take_over(done.rows, ids_changed=done.ids_changed)
        self._layouts[number] = table.layout
        self.seconds = done.seconds
        return dict(done.rejected)

    def _ids_changed(self, table: Table) -> bool:
        return self._layouts.get(1 if table is self.check_table else 0) != table.layout

    def _ask(self, message: bytes, wanted: type[AnswerT], seconds: float, commands: int = 0) -> AnswerT:
        """Sends a request with so many commands, unless it is empty, and returns its answer. Raises EngineError."""
        if self._lost:
            raise EngineLostError(self._lost)
        channel = self._child.channel
        try:
            if message:
                channel.send(message, seconds)
            answer = decode_answer(*channel.receive(seconds), commands)
        except TimeoutError:
            raise self._hung(seconds) from None
        except EngineProtocolError as error:
            raise self._broken(error) from error
        except (EOFError, OSError):
            raise self._ended() from None
        if isinstance(answer, Raised):
            raise EngineRaisedError(answer.sentence, answer.traceback)
        if not isinstance(answer, wanted):
            raise self._broken(EngineProtocolError(f"answered {type(answer).__name__} in place of {wanted.__name__}"))
        return answer

    def _hung(self, seconds: float) -> EngineHungError:
        where = stopped_phrase(self._child.pid) or self._present_location()
        self._lost = self._lost or f"gave no answer for {seconds:.1f} s and was killed"
        self._child.kill()
        return EngineHungError(seconds, where)

    def _present_location(self) -> str:
        self._child.request_report()
        deadline = time.monotonic() + _REPORT_SECONDS
        before, report = b"", self._child.report()
        while (not report or report != before) and time.monotonic() < deadline and not self._child.ended.is_set():
            self._child.ended.wait(_REPORT_POLL_SECONDS)  # a signal handler of the engine writes it
            before, report = report, self._child.report()
        return location(report, self._files)

    def _broken(self, error: EngineProtocolError) -> EngineLostError:
        self._lost = self._lost or str(error)
        self._child.kill()
        return EngineLostError(self._lost)

    def _ended(self) -> EngineLostError:
        if not self._lost:
            ended = self._child.ended.wait(_EXIT_SECONDS)
            self._lost = self._with_location(self._child.reason) if ended else DISCONNECTED
            self._child.kill()
        return EngineLostError(self._lost)

    def _with_location(self, reason: str) -> str:
        where = location(self._child.report(), self._files)
        return f"{reason} {where}" if where else reason
