"""What a replica sees of its engine.

`EngineProcess` is a process of its own, `InProcessEngine` runs the simulator in the calling thread, for tests and for
the simulation in virtual time. All calls come from one thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pairsim.model.command_schema import Operation
from pairsim.model.commands import Command
from pairsim.model.state.schema import Schema
from pairsim.model.state.table import Table

MAX_PERCEIVED, MAX_PERCEIVED_BYTES = 5_000, 2**20
"""The most commands of one tick that may come from `perceive`, and the most bytes that they may take."""


class EngineError(Exception):
    """A call of an engine failed. The content of the engine's tables is undefined until the node restores it.

    After any other error than `EngineRaisedError` the engine may write into its tables until `close` has returned.

    Attributes:
        traceback: The traceback of the author's code, on several lines; empty without one.
    """

    traceback = ""


class EngineRaisedError(EngineError):
    """The simulator's code raised. The engine goes on and answers the next call.

    Attributes:
        sentence: The error with the line of the author's code, such as "the simulator growth:Growth raised NameError:
            name 'x' is not defined at /plugins/growth.py:12".
    """

    def __init__(self, sentence: str, traceback: str = "") -> None:
        super().__init__(sentence)
        self.sentence, self.traceback = sentence, traceback


class EngineHungError(EngineError):
    """The engine did not answer in time; it was killed.

    Attributes:
        seconds: How long the node waited.
        where: What the engine was doing, such as "in step at /plugins/growth.py:12"; empty if that is unknown.
    """

    def __init__(self, seconds: float, where: str = "") -> None:
        super().__init__(f"the engine gave no answer for {seconds:.1f} s{where and f', {where}'}")
        self.seconds, self.where = seconds, where


class EngineLostError(EngineError):
    """The engine ended, or it broke the protocol and was killed.

    Attributes:
        reason: Why, as a phrase whose subject is the engine, such as "was ended by SIGSEGV at /plugins/growth.py:12".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the engine {reason}")
        self.reason = reason


class Engine(Protocol):
    """The simulator of one area, ready to run.

    Attributes:
        components: The simulator's components.
        operations: The simulator's own operations.
        table: The state of the area, in the engine's memory.
        check_table: A second table of the same schema, for ticks that are only compared.
        code: The fingerprint of the simulator's code; empty if that is unknown.
    """

    components: Schema
    operations: tuple[Operation, ...]
    table: Table
    check_table: Table
    code: str

    @property
    def pid(self) -> int | None:
        """The id of its process; None if it has no process of its own."""

    def populate(self) -> None:
        """Fills `table`, which must be empty, with the entities of tick 0. Raises EngineError."""

    def advance(self, table: Table, commands: Sequence[Command], tick: int) -> dict[int, str]:
        """Advances `table` or `check_table` from tick - 1 to `tick`.

        Returns:
            The reasons of the commands that changed nothing, by place in `commands`.

        Raises:
            EngineError: The table is undefined now.
        """

    def perceive(self, tick: int) -> list[Command]:
        """Returns the commands for `tick` that the simulator perceives outside of `table`; they have plain values.

        The values have not been checked against the command schema. Raises EngineError.
        """

    def close(self) -> None:
        """Ends the engine; its tables stay readable. May be called more than once, and from any thread."""
