"""The limit of open files of a process, which connections and journals share (getrlimit(2))."""

from __future__ import annotations

import resource

_ENOUGH_FILES = 65_536
"""The most that is asked for: some systems allow a thousand million, which programs that visit them all cannot bear."""


def raise_file_limit() -> int:
    """Raises the soft limit as far as the hard one allows, and returns how many files may be open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _ENOUGH_FILES
    wanted = _ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(_ENOUGH_FILES, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)
