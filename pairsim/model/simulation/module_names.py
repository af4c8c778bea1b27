"""The names of simulators: those of programs, and those of modules that an installed module has already."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

PROGRAM_PREFIX = "exec:"
"""The begin of a simulator's name that is followed by the path of a program; see `pairsim.engine.host.program`."""


def is_program(simulator: str) -> bool:
    """Returns whether a simulator's name is that of a program and not of a Python class."""
    return simulator.startswith(PROGRAM_PREFIX)


def check_name(module: str) -> None:
    """Checks that a module of the author's folders is the one that Python imports by its name.

    These are the current folder and those of PYTHONPATH.

    Raises:
        ImportError: Python imports an installed module instead; the message names both files.
    """
    top = module.partition(".")[0]
    files = _author_files(top)
    if not files:
        return
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    origin = (found.origin if found is not None else None) or ""
    if not origin or (Path(origin).exists() and any(Path(origin).samefile(file) for file in files)):
        return
    raise ImportError(
        f"{files[0]} has the name of an installed module, {origin}, which Python finds first: rename the file"
    )


def _author_files(top: str) -> list[Path]:
    """Returns the files of a module in the author's folders, as far as these are searched."""
    folders = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    try:
        here = Path.cwd()
    except OSError:  # the folder was removed
        here = None
    places = [*([here] if here is not None else []), *map(Path, folders)] if top else []
    return [
        file
        for place in places
        if str(place) in sys.path
        for file in (place / f"{top}.py", place / top / "__init__.py")
        if file.is_file()
    ]
