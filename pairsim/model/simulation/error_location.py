"""The description of an error in a simulator's code: what was raised and where, in one line for its author."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Collection


def source_files(simulator: type) -> frozenset[str]:
    """Returns the files in which a class and its bases are written."""
    files = (getattr(sys.modules.get(kind.__module__), "__file__", None) for kind in simulator.__mro__)
    return frozenset(file for file in files if file is not None)


def error_with_location(error: BaseException, own: Collection[str] = ()) -> str:
    """Returns the error and its location, `NameError: ... at growth.py:12`.

    Args:
        error: What was raised.
        own: The author's files. The location is the innermost frame in one of them, because the fault is seldom in the
            library that raised (numpy, for example); without such a frame it is the innermost frame of all.
    """
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if frame.filename in own), frames[-1] if frames else None)
    where = f" at {frame.filename}:{frame.lineno}" if frame is not None else ""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":") + where
