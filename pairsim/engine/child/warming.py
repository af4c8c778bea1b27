"""What a warm engine loads before it has an area: libraries that take long to load, and no code of an author.

numba takes half a second to import, and as long again when it compiles or loads its first function. A simulator that
uses it, such as `physics`, is ready in a tenth of the time when both are done before.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable


def warm_up(wanted: Callable[[], bool]) -> None:
    """Loads the libraries of these that are installed; ends early when `wanted` returns True, since an area waits then.

    A library that cannot be loaded is left to the simulator, whose error then has the author's line.
    """
    for load in (_import_numba, _load_types, _load_functions):
        if wanted():
            return
        with contextlib.suppress(Exception):  # whatever a library raises that does not fit this machine
            load()


def _import_numba() -> None:
    importlib.import_module("numba")


def _load_types() -> None:
    importlib.import_module("numba.core.registry").cpu_target.typing_context.refresh()


def _load_functions() -> None:
    importlib.import_module("numba.core.registry").cpu_target.target_context.refresh()
