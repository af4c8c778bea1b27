"""The description of an error in a simulator's code: what was raised and where, in one line for its author."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Collection

from pairsim.model.simulation.foreign_text import error_text, foreign_text

_MAX_ERROR_CHARACTERS = 250
"""The location follows the error, and readers of the whole sentence cut its end off."""


def class_file(kind: type) -> str:
    """Returns the file in which a class is written; empty for a class without a file."""
    return getattr(sys.modules.get(kind.__module__), "__file__", None) or ""


def method_place(kind: type, name: str) -> str:
    """Returns where a method of a class begins, `growth.py:12`; the class's file if it is not written in Python."""
    method = getattr(kind, name)
    while wrapped := getattr(method, "__wrapped__", None):  # by a decorator
        method = wrapped
    code = getattr(method, "__code__", None)
    return f"{foreign_text(code.co_filename)}:{code.co_firstlineno}" if code is not None else class_file(kind)


def source_files(simulator: type) -> frozenset[str]:
    """Returns the files in which a class and its bases are written."""
    return frozenset(file for kind in simulator.__mro__ if (file := class_file(kind)))


def error_with_location(error: BaseException, own: Collection[str] = ()) -> str:
    """Returns the error and its location, `NameError: ... at growth.py:12`.

    Args:
        error: What was raised; its text may raise in turn.
        own: The author's files. The location is the innermost frame in one of them, because the fault is seldom in the
            library that raised (numpy, for example); without such a frame it is the innermost frame of all.
    """
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if frame.filename in own), frames[-1] if frames else None)
    where = f" at {foreign_text(frame.filename)}:{frame.lineno}" if frame is not None else ""
    return " ".join(error_text(error, _MAX_ERROR_CHARACTERS).split()) + where
