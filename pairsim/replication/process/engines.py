"""The start of an area's engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from pairsim.engine.host.process import EngineProcess
from pairsim.engine.port import Engine
from pairsim.model.area import AreaSpec

PREPARE_SECONDS = 600.0
"""The time limit for a simulator to load, compile and create its entities."""

CALL_SECONDS = 86_400.0
"""The time limit for a tick. The status shows a stuck call long before it."""

LOG_FILE = "engine.log"
"""The file in the data folder of a process to which its engine's output goes."""


class EngineStarter(Protocol):
    """Starts engines."""

    def __call__(self, spec: AreaSpec, data: Path, on_end: Callable[[str], None]) -> Engine:
        """Starts the engine of an area and waits until its simulator is ready.

        Args:
            spec: The area.
            data: The data folder of the process.
            on_end: Called in another thread with the reason when the engine has ended, also when it is closed.

        Raises:
            EngineError: The simulator cannot be used.
        """


def start_engine_process(spec: AreaSpec, data: Path, on_end: Callable[[str], None]) -> EngineProcess:
    """Starts the engine of an area as a process."""
    engine = EngineProcess(spec, data / LOG_FILE, limit=CALL_SECONDS, on_end=on_end)
    try:
        engine.start(PREPARE_SECONDS)
    except BaseException:
        engine.close()
        raise
    return engine
