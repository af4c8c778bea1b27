"""Figures that the tests measure on the way, as a table at the end and a file for whoever compares runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.benchmarks.figures import quantile

FILE = Path(os.environ.get("PAIRSIM_CLUSTER_REPORT", "cluster-report.json"))


class Report:
    """Samples by name, in one unit each."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[str, list[float]]] = {}

    def add(self, name: str, value: float, unit: str) -> None:
        """One measurement."""
        self._samples.setdefault(name, (unit, []))[1].append(value)

    def rows(self) -> list[tuple[str, ...]]:
        """What was measured: name, number, median, p99, maximum, unit."""
        rows = []
        for name, (unit, samples) in sorted(self._samples.items()):
            figures = (quantile(samples, 0.5), quantile(samples, 0.99), max(samples))
            rows.append((name, str(len(samples)), *(f"{figure:.3g}" for figure in figures), unit))
        return rows

    def write(self) -> None:
        """Leaves the samples in a file."""
        FILE.write_text(json.dumps({name: {"unit": u, "samples": s} for name, (u, s) in self._samples.items()}))
