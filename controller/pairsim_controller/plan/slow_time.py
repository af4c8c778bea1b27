"""Whether simulated time runs slower than it should in an area, and the message that explains why."""

from __future__ import annotations

from pairsim.model.area import AreaSpec
from pairsim.model.status import SLOW_PACE, ReplicaStatus, SimulatorPhase, SimulatorState

_LONG_TICK_ABOVE = 0.8
"""Share of a tick's time above which the ticks themselves explain that an area is slow."""


def slow_message(spec: AreaSpec, active: ReplicaStatus, options: str = "") -> str:
    """Returns a sentence about an area that is slower than its tick rate; empty if it keeps up.

    The numbers come from the status of its active: `pace` is a share of the tick rate, `tick_ms` milliseconds.
    `options` are those that a command needs to reach the world, such as " --port 8081".
    """
    if active.simulator is not None and active.simulator.stands_still:
        still = f"time stands still: {active.replica} {active.simulator.predicate}"
        if active.simulator.phase is SimulatorPhase.PAUSED:
            return f"{still}; {_advice(spec.area, active.simulator, options)}"
        advice = active.simulator.advice(options)
        return f"{still}; {advice}" if advice else still
    if active.pace >= SLOW_PACE:
        return ""
    budget_ms = 1000.0 / spec.tick_rate
    speed = f"time runs at {active.pace:.2g} of its rate" if active.pace else "time stands still"
    if active.tick_ms >= _LONG_TICK_ABOVE * budget_ms:
        return f"ticks take {_ms(active.tick_ms)}, there are {_ms(budget_ms)} for each: {speed}"
    return (
        f"{speed}, though ticks take {_ms(active.tick_ms)} of the {_ms(budget_ms)} that there are for each:"
        " its commits come late, or its machine is busy"
    )


def _advice(area: str, paused: SimulatorState, options: str) -> str:
    """Returns what an operator can do about a tick that fails; only a tick with commands can do without one."""
    mend = f"mend the simulator (pairsim engines restart {area}{options} tries it at once)"
    if paused.command:
        return f"{mend}, or leave the command out: pairsim skip {area} {paused.command}{options}"
    if paused.commands:
        return f"{mend}, or leave a command out: pairsim skip {area}{options} lists all {paused.commands}"
    return mend


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"
