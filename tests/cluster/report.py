"""Figures that the tests measure: a table at the end of the run, and a file to compare runs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.figures import Figure, quantile

FILE = Path(os.environ.get("PAIRSIM_CLUSTER_REPORT", "cluster-report.json"))


class Report:
    """Samples by name, in one unit each."""

    def __init__(self) -> None:
        self._samples: dict[str, tuple[str, list[float]]] = {}
        self._figures: list[Figure] = []

    def add(self, name: str, value: float, unit: str) -> None:
        """Adds one measurement."""
        self._samples.setdefault(name, (unit, []))[1].append(value)

    def take(self, figures: Sequence[Figure]) -> None:
        """Adds figures that are summarized already."""
        self._figures += figures

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the rows of the table: name, number of samples, median, p99, maximum, unit."""
        rows = []
        for name, (unit, samples) in sorted(self._samples.items()):
            figures = (quantile(samples, 0.5), quantile(samples, 0.99), max(samples))
            rows.append((name, str(len(samples)), *(f"{figure:.3g}" for figure in figures), unit))
        return rows + [
            (one.name, str(one.n), *(f"{figure:.3g}" for figure in (one.p50, one.p99, one.worst)), one.unit)
            for one in self._figures
        ]

    def write(self) -> None:
        """Writes the samples to a file."""
        measured = {name: {"unit": unit, "samples": samples} for name, (unit, samples) in self._samples.items()}
        summed = {one.name: {"unit": one.unit, "n": one.n, "p50": one.p50, "p99": one.p99} for one in self._figures}
        FILE.write_text(json.dumps(measured | summed))
