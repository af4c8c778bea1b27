"""The kernels that were compiled when the image was built, on a read-only file system.

numba looks for compiled functions only in folders that are writable, so it would compile them again in every pod, which
takes three seconds at each start. In the image `NUMBA_CACHE_LOCATOR_CLASSES` names the class of this module.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from numba.core.caching import UserProvidedCacheLocator


class Prebuilt(UserProvidedCacheLocator):
    """A cache locator that reads `NUMBA_CACHE_DIR`, if that folder has the compiled functions of a source file."""

    @classmethod
    def from_function(cls, py_func: Callable[..., object], py_file: str) -> Prebuilt | None:
        """Returns the locator, or None if numba must ask the next locator class."""
        if not os.environ.get("NUMBA_CACHE_DIR") or not os.path.exists(py_file):  # noqa: PTH110 - numba gives strings
            return None
        locator = cls(py_func, py_file)
        return locator if os.path.isdir(locator._cache_path) else None  # noqa: PTH112 - likewise

    def ensure_cache_path(self) -> None:
        """Refuses to write a function that the folder lacks, one for another processor or version.

        Raises:
            RuntimeError: Always. `kernels` then compiles the function without caching it.
        """
        raise RuntimeError(f"the compiled functions in {self._cache_path} are not for this processor")
