"""The start of an area in its process: how long its simulator has been compiling, or why it was refused.

Until the start has succeeded the process is a spare, and the status says what it waits for. The controller asks again
and again after a refusal, so a refusal is shown until a start has lasted for some seconds or has succeeded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import msgspec

from pairsim.model.simulation.foreign_text import foreign_text
from pairsim.model.status import SimulatorPhase, SimulatorState
from pairsim.replication.clock import monotonic
from pairsim.replication.service import SimulatorError

RETRY_SHOWN_AFTER_SECONDS = 2.0
"""Seconds after which a repeated start is shown in place of the refusal before it."""


class _Start(msgspec.Struct, frozen=True):
    area: str
    began: float


class _Refusal(msgspec.Struct, frozen=True):
    area: str
    at: float
    reason: str


class Preparation:
    """The start of an area that is under way, and the last refusal. One thread starts areas, any thread reads."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """Calls `on_change` whenever the state has changed."""
        self._on_change = on_change
        self._start: _Start | None = None
        self._refusal: _Refusal | None = None

    @contextlib.contextmanager
    def of(self, area: str) -> Iterator[None]:
        """Marks the start of an area as under way; keeps the reason if the simulator refuses the area."""
        self._start = _Start(area, monotonic())
        if self._refusal is not None and self._refusal.area != area:
            self._refusal = None
        self._on_change()
        try:
            yield
            self._refusal = None
        except SimulatorError as error:
            self._refusal = _Refusal(area, monotonic(), foreign_text(error))
            raise
        finally:
            self._start = None
            self._on_change()

    def state(self, now: float) -> SimulatorState | None:
        """Returns what the status says at a monotonic time; None if no area is being started or was refused."""
        start, refusal = self._start, self._refusal
        if start is not None and (refusal is None or now - start.began >= RETRY_SHOWN_AFTER_SECONDS):
            return SimulatorState(start.area, SimulatorPhase.COMPILING, round(now - start.began, 1))
        if refusal is not None:
            return SimulatorState(refusal.area, SimulatorPhase.REFUSED, round(now - refusal.at, 1), refusal.reason)
        return None
