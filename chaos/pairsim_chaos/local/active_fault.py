"""Faults that are in place in local processes, and how they are removed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from pairsim_chaos.local.selection import TargetProcess
from pairsim_chaos.target import WorldError


class ReversibleFault(Protocol):
    """A fault that stays in place until it is reverted."""

    async def apply(self) -> None:
        """Applies the fault.

        Raises:
            WorldError: The fault could not be applied completely; call `revert` to remove the rest.
        """

    def failure_reason(self) -> str:
        """Returns why the fault is not in place any more; empty if it is."""

    async def revert(self) -> None:
        """Removes everything that was applied, also after an incomplete `apply`.

        Raises:
            WorldError: A part could not be removed.
        """


class ActiveFault:
    """A fault that was injected, for as long as it lasts; implements `pairsim_chaos.target.Injection`."""

    def __init__(self, targets: Sequence[TargetProcess], duration: float, fault: ReversibleFault | None) -> None:
        """Creates an active fault whose duration starts now.

        Args:
            targets: The processes that the fault was injected into.
            duration: The duration in seconds.
            fault: The fault to revert; None if the fault leaves nothing to revert.
        """
        self.targets = tuple(each.process for each in targets)
        self._end = asyncio.get_running_loop().time() + duration
        self._fault = fault

    async def wait(self) -> None:
        """Waits until the duration has passed."""
        await asyncio.sleep(max(0.0, self._end - asyncio.get_running_loop().time()))

    async def recover(self) -> None:
        """Reverts the fault.

        Raises:
            WorldError: The fault could not be reverted, or it ended before its time, so that the experiment proves
                nothing.
        """
        if self._fault is None:
            return
        reason = self._fault.failure_reason()
        await self._fault.revert()
        self._fault = None
        if reason:
            raise WorldError(f"the fault did not last: {reason}")
