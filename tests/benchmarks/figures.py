"""What was measured, as a table at the end and as a file."""

from __future__ import annotations

import json
import math
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


class Figure(msgspec.Struct, frozen=True):
    """One row.

    Attributes:
        name: What was measured.
        unit: Of the numbers.
        n: How many measurements.
        p50, p99, worst: Of them; for a single number all the same.
        goal: What it should be, in words; empty where nothing was set.
        met: Whether it is; None where nothing was set.
    """

    name: str
    unit: str
    n: int
    p50: float
    p99: float
    worst: float
    goal: str = ""
    met: bool | None = None


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def times(name: str, ms: Sequence[float], *, p50: float | None = None, p99: float | None = None) -> Figure:
    """Durations in ms, with upper bounds as goals."""
    middle, high = statistics.median(ms), quantile(ms, 0.99)
    goals = [f"{label} ≤ {goal:g}" for label, goal in (("p50", p50), ("p99", p99)) if goal is not None]
    met = None if not goals else (p50 is None or middle <= p50) and (p99 is None or high <= p99)
    return Figure(name, "ms", len(ms), middle, high, max(ms), ", ".join(goals), met)


def single(
    name: str, unit: str, value: float, *, at_most: float | None = None, at_least: float | None = None, n: int = 1
) -> Figure:
    """One number, with a bound as goal."""
    goal = f"≤ {at_most:g}" if at_most is not None else f"≥ {at_least:g}" if at_least is not None else ""
    met = None if not goal else (value <= at_most if at_most is not None else value >= (at_least or 0))
    return Figure(name, unit, n, value, value, value, goal, met)


def report(figures: Sequence[Figure], path: Path) -> None:
    """Prints the table and writes the file."""
    table = Table(title="pairsim benchmarks", title_justify="left")
    table.add_column("what", overflow="fold", max_width=76)
    for column in ("unit", "n", "p50", "p99", "worst", "goal", ""):
        table.add_column(column, justify="right")
    for f in figures:
        verdict = "" if f.met is None else "met" if f.met else "NOT met"
        numbers = [f"{value:,.2f}" if abs(value) < 1000 else f"{value:,.0f}" for value in (f.p50, f.p99, f.worst)]
        table.add_row(f.name, f.unit, str(f.n), *numbers, f.goal, verdict)
    Console(width=150).print(table)
    machine = {"machine": platform.machine(), "kernel": platform.release(), "python": platform.python_version()}
    content = {"host": machine, "figures": [msgspec.structs.asdict(f) for f in figures]}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
