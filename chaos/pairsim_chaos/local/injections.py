"""What is made to local processes, and for how long it stays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pairsim_chaos.local.selecting import LocalProcess
from pairsim_chaos.target import WorldError


class Undoable(Protocol):
    """A fault that stays until it is taken back."""

    async def make(self) -> None:
        """Makes it; raises WorldError if it cannot be, and leaves the rest to `undo`."""

    def broken(self) -> str:
        """Why it is not what was made any more; empty if it is."""

    async def undo(self) -> None:
        """Takes away what was made, however much of it; raises WorldError if that fails."""


class Held:
    """A fault that was made, for as long as it lasts."""

    def __init__(self, sources: Sequence[LocalProcess], lasting: float, made: Undoable | None) -> None:
        """`lasting` is in seconds; `made` is None for what needs not be taken back."""
        self.targets = tuple(source.process for source in sources)
        self._end = asyncio.get_running_loop().time() + lasting
        self._made = made

    async def over(self) -> None:
        """See `pairsim_chaos.target.Injection`."""
        await asyncio.sleep(max(0.0, self._end - asyncio.get_running_loop().time()))

    async def recover(self) -> None:
        """See `pairsim_chaos.target.Injection`. A fault that had gone by itself has proved nothing, and is an error."""
        if self._made is None:
            return
        broken = self._made.broken()
        await self._made.undo()
        self._made = None
        if broken:
            raise WorldError(f"it did not last: {broken}")
