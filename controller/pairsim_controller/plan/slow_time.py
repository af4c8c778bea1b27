"""Whether time runs slowly in an area, and what to say of it; pure."""

from __future__ import annotations

from pairsim.model.area import AreaSpec
from pairsim.model.status import ReplicaStatus

SLOW = 0.9
"""Share of its tick rate below which an area is slow."""

_MOST = 0.8
"""Share of a tick's time above which it is the ticks that take too long."""


def too_slow(spec: AreaSpec, active: ReplicaStatus) -> str:
    """What is to be said of an area, as its active tells; empty if it keeps up."""
    if active.pace >= SLOW:
        return ""
    given = 1000.0 / spec.tick_rate
    runs = f"time runs at {active.pace:.2g} of its rate" if active.pace else "time stands still"
    if active.tick_ms >= _MOST * given:
        return f"ticks take {_ms(active.tick_ms)}, there are {_ms(given)} for each: {runs}"
    return (
        f"{runs}, though ticks take {_ms(active.tick_ms)} of the {_ms(given)} that there are for each:"
        " its commits come late, or its machine is busy"
    )


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"
