"""Kernels that were compiled when the image was built, on a file system that nobody may write to.

numba looks for compiled functions only in folders that it could write to as well, so it would compile them again in
every pod: three seconds at each start. `NUMBA_CACHE_LOCATOR_CLASSES` names this class in the image.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from numba.core.caching import UserProvidedCacheLocator


class Prebuilt(UserProvidedCacheLocator):
    """`NUMBA_CACHE_DIR`, for reading, if it has the compiled functions of a source file."""

    @classmethod
    def from_function(cls, py_func: Callable[..., object], py_file: str) -> Prebuilt | None:
        """The locator, or None where another one has to be asked."""
        if not os.environ.get("NUMBA_CACHE_DIR") or not os.path.exists(py_file):  # noqa: PTH110 - numba gives strings
            return None
        locator = cls(py_func, py_file)
        return locator if os.path.isdir(locator._cache_path) else None  # noqa: PTH112 - likewise

    def ensure_cache_path(self) -> None:
        """Asked for before numba writes a function that was not there: one for another processor or version.

        Raises:
            RuntimeError: Always; whoever compiles takes it as "cannot be kept".
        """
        raise RuntimeError(f"the compiled functions in {self._cache_path} are not for this processor")
