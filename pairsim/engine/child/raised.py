"""The error for what a simulator's code raised: a sentence with the author's line, and the traceback."""

from __future__ import annotations

import traceback

from pairsim.engine.port import EngineRaisedError
from pairsim.model.area import AreaSpec
from pairsim.model.simulation.error_location import error_with_location, source_files
from pairsim.model.simulation.foreign_text import foreign_text
from pairsim.model.simulation.simulator import ParameterError, SimulatorNotFoundError

MAX_TRACEBACK_CHARACTERS = 30_000
"""The end of a longer traceback is kept, since the innermost frames are there."""


def raised_error(error: BaseException, spec: AreaSpec, kind: type | None = None) -> EngineRaisedError:
    """Returns the error for what the simulator of an area raised.

    Args:
        error: What it raised; its text may raise in turn.
        spec: The area.
        kind: The simulator's class, whose files are the author's; None if it could not be loaded.
    """
    if isinstance(error, EngineRaisedError):
        return error
    if isinstance(error, SimulatorNotFoundError | ParameterError):  # the text is a sentence already
        sentence = foreign_text(error)
    else:
        own = source_files(kind) if kind is not None else ()
        sentence = f"the simulator {spec.simulator} raised {error_with_location(error, own)}"
    return EngineRaisedError(sentence, _traceback(error))


def _traceback(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(error)
    except (Exception, SystemExit):  # noqa: BLE001 - it calls methods of a foreign exception
        lines = traceback.format_tb(error.__traceback__)
    return foreign_text("".join(lines)[-MAX_TRACEBACK_CHARACTERS:], MAX_TRACEBACK_CHARACTERS)
