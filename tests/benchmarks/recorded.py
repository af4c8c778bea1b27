"""`python -m tests.benchmarks.recorded`: pairsim, which also records how long its ticks, steps and commits take.

The histograms of `/metrics` have buckets, from which no exact quantile follows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pairsim.system.module_search import demote_current_folder
from tests.harness import Node

TICKS, COMMITS, STEPS = "ticks.f64", "commits.f64", "steps.f64"


def recorded_node(name: str, folder: Path) -> Node:
    """A process that records."""
    return Node(name, folder, (sys.executable, "-m", "tests.benchmarks.recorded"))


def durations(node: Node, kind: str, since: int = 0) -> list[float]:
    """Milliseconds, from the duration with the number `since` on."""
    file = node.folder / kind
    return [] if not file.exists() else (np.fromfile(file, np.float64, offset=8 * since) * 1e3).tolist()


def _record(folder: Path) -> None:
    from pairsim.engine.host.process import EngineProcess  # noqa: PLC0415 - likewise
    from pairsim.replication import measurements  # noqa: PLC0415 - after the module search path is in order

    kinds = {measurements.TICK_SECONDS: TICKS, measurements.COMMIT_SECONDS: COMMITS}
    files = {bounds: os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND) for bounds, name in kinds.items()}
    steps = os.open(folder / STEPS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    observe: Callable[[measurements.Histogram, float], None] = measurements.Histogram.observe

    def recording(histogram: measurements.Histogram, seconds: float) -> None:
        observe(histogram, seconds)
        if histogram.bounds in files:
            os.write(files[histogram.bounds], np.float64(seconds).tobytes())

    advance = EngineProcess.advance

    def advancing(engine: EngineProcess, *arguments: Any) -> dict[int, str]:
        rejected = advance(engine, *arguments)
        os.write(steps, np.float64(engine.seconds).tobytes())
        return rejected

    measurements.Histogram.observe = recording  # type: ignore[method-assign]
    EngineProcess.advance = advancing  # type: ignore[method-assign]


if __name__ == "__main__":
    demote_current_folder()
    if "--data" in sys.argv:
        _record(Path(sys.argv[sys.argv.index("--data") + 1]))
    from pairsim.cli import main

    main()
