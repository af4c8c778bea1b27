"""What somebody's code raised, and where, in one line for whoever wrote it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Collection


def sources(simulator: type) -> frozenset[str]:
    """The files that a class is written in, those of its bases among them."""
    files = (getattr(sys.modules.get(kind.__module__), "__file__", None) for kind in simulator.__mro__)
    return frozenset(file for file in files if file is not None)


def raised(error: BaseException, own: Collection[str] = ()) -> str:
    """The error and its place: the innermost one in a file of `own`, since it is seldom numpy that has to be mended."""
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((frame for frame in reversed(frames) if frame.filename in own), frames[-1] if frames else None)
    where = f" at {frame.filename}:{frame.lineno}" if frame is not None else ""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":") + where
