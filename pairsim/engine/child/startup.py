"""The first steps of an engine's process, before the author's code is loaded.

It imports little, since the module search path is put in order here.
"""

from __future__ import annotations

import contextlib
import os
import sys

from pairsim.engine.descriptors import PYTHON_PATH, SEARCH_PATH


def search_author_folders_last() -> None:
    """Moves the folders that the node passed, and the current one, to the end of the module search path.

    A file beside the simulator may have the name of a module that Python or pairsim imports, such as `queue.py`.
    """
    passed = [folder for folder in os.environ.pop(SEARCH_PATH, "").split(os.pathsep) if folder]
    with contextlib.suppress(OSError):  # the folder was removed
        passed.append(os.getcwd())  # noqa: PTH109 - pathlib is imported only when the path is right
    here = [os.path.abspath(folder) for folder in passed]  # noqa: PTH100
    ahead = [folder for folder in sys.path if folder not in here]
    sys.path[:] = [*ahead, *dict.fromkeys(here)]
    before = os.environ.pop(PYTHON_PATH, None)
    if before is not None:  # programs that the author's code starts look where the node looks
        os.environ["PYTHONPATH"] = before
    else:
        os.environ.pop("PYTHONPATH", None)
