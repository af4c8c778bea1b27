"""Refuses entities that would make the kernel kill this replica for the lack of memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pairsim.model.borders.messages import UNLIMITED_ROOM
from pairsim.model.commands import Command
from pairsim.model.state.memory_need import most_entities, row_bytes, spawn_refusal
from pairsim.model.state.table import Table
from pairsim.replication.clock import monotonic
from pairsim.replication.service import MemoryFullError
from pairsim.system.memory import MemoryAllowance, read_memory

_REREAD_SECONDS = 0.1
"""Seconds for which the free memory that was read counts."""


class MemoryGuard:
    """The check of new entities against the memory of this process and its engine. For one thread."""

    def __init__(
        self, read: Callable[[], MemoryAllowance | None] = read_memory, clock: Callable[[], float] = monotonic
    ) -> None:
        """`read` returns the memory of this process, None if it is unknown; `clock` returns seconds."""
        self._read, self._clock = read, clock
        self._memory: MemoryAllowance | None = None
        self._read_at = -_REREAD_SECONDS

    def check(self, commands: Sequence[Command], table: Table, waiting: int) -> None:
        """Checks whether a batch may enter the inbox, in which so many commands wait; only spawns need memory.

        Raises:
            MemoryFullError: The replica might not have the memory for it.
        """
        spawns = sum(command.op == "spawn" for command in commands)
        if not spawns:
            return
        memory = self._newest()
        if memory is None:
            return
        refusal = spawn_refusal(
            len(table),
            spawns + waiting,
            row_bytes(table.schema),
            limit=memory.limit,
            available=memory.available,
            own=memory.own,
        )
        if refusal:
            raise MemoryFullError(refusal)

    def most_entities(self, table: Table) -> int:
        """Returns how many entities the table may have when others arrive from other areas."""
        memory = self._newest()
        if memory is None:
            return UNLIMITED_ROOM
        most = most_entities(
            len(table), row_bytes(table.schema), limit=memory.limit, available=memory.available, own=memory.own
        )
        return UNLIMITED_ROOM if most is None else most

    def _newest(self) -> MemoryAllowance | None:
        now = self._clock()
        if now - self._read_at >= _REREAD_SECONDS:
            self._memory, self._read_at = self._read(), now
        return self._memory
