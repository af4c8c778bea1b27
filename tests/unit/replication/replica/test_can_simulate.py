"""Whether a replica could simulate is asked by threads that do not run it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from pairsim.replication.replica.replica import Replica


class _SteppingDown:
    """A replica that steps down right after a look at its leadership."""

    def __init__(self) -> None:
        self._leading_term = 3
        self._active: SimpleNamespace | None = SimpleNamespace(term=3)

    @property
    def active(self) -> SimpleNamespace | None:
        found, self._active = self._active, None
        return found


def test_an_active_may_step_down_while_it_is_asked() -> None:
    assert Replica.can_simulate(cast("Replica", _SteppingDown()))
