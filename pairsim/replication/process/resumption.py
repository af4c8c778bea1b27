"""The areas that a restart of a process resumes, and the first act of it: the engine starts before anything else.

This module loads little, since the engine and the rest of the process start at the same time.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import structlog

from pairsim.engine.host.launcher import EngineLauncher
from pairsim.engine.host.output import ENGINE_LOG
from pairsim.model.assignment import Assignment
from pairsim.model.decode_errors import UNDECODABLE
from pairsim.settings import ProcessSettings

log = structlog.get_logger()


def saved_assignments(data: Path) -> list[Assignment]:
    """Reads the assignments that a restart resumes, one for each area's folder under `data`."""
    found = [read_assignment(path) for path in sorted(data.glob("areas/*/assignment.json"))]
    return [assignment for assignment in found if assignment is not None]


def start_engine_early(settings: ProcessSettings) -> EngineLauncher:
    """Starts the engine of the area that a simulator process will resume, if any, and returns its launcher."""
    launcher = EngineLauncher(settings.data / ENGINE_LOG)
    for assignment in saved_assignments(settings.data)[:1]:
        launcher.begin(assignment.spec)
    return launcher


def read_assignment(path: Path) -> Assignment | None:
    """Reads the assignment in a file; None if it is missing, or damaged, which is logged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Assignment)
    except FileNotFoundError:
        return None
    except (OSError, *UNDECODABLE) as error:
        log.error("cannot resume a membership", file=str(path), reason=str(error))  # noqa: TRY400 - the reason is enough
        return None
