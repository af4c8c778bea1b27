"""Where Python looks for the module of a simulator.

A file beside a simulator may have the name of a module that Python or pairsim imports, such as `queue.py`. So the
current folder is searched after everything that is installed, by `pairsim up` and by its processes alike. `python -m`
would search it first, and not at all with `-P` or PYTHONSAFEPATH.
"""

from __future__ import annotations

import os
import sys


def search_current_folder_last() -> None:
    """Adds the current folder to the end of the module search path, unless it is searched already."""
    try:
        here = os.getcwd()  # noqa: PTH109 - pathlib is imported only when the path is right
    except OSError:  # the folder was removed
        return
    if here not in sys.path:
        sys.path.append(here)


def demote_current_folder() -> None:
    """Moves the current folder from the beginning of the module search path, where `python -m` put it, to its end."""
    if not sys.flags.safe_path:
        del sys.path[0]
    search_current_folder_last()
