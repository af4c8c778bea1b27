"""Files of the current folder whose names are taken by installed modules, which Python finds first."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def check_name(module: str) -> None:
    """Checks that a module of the current folder is the one that Python imports by its name.

    Raises:
        ImportError: Python imports an installed module instead; the message names both files.
    """
    top = module.partition(".")[0]
    file = _local_file(top)
    if file is None:
        return
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    origin = (found.origin if found is not None else None) or ""
    if not origin or (Path(origin).exists() and Path(origin).samefile(file)):
        return
    raise ImportError(
        f"{file} has the name of an installed module, {origin}, which Python finds first: rename the file"
    )


def _local_file(top: str) -> Path | None:
    """Returns the file of a module in the current folder; None without one, or if the folder is not searched."""
    try:
        here = Path.cwd()
    except OSError:
        return None
    if not top or str(here) not in sys.path:
        return None
    return next((file for file in (here / f"{top}.py", here / top / "__init__.py") if file.is_file()), None)
