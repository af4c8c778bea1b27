"""The threads that a simulator starts, as far as Python knows them.

A thread that waits for the outside, and which `prepare` or `perceive` started, is welcome. A thread that `populate` or
`step` leaves behind is suspicious: it may go on to write into the table while the table is the node's.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import traceback
from collections.abc import Collection

from pairsim.model.simulation.foreign_text import foreign_text

_MAX_SHOWN = 5
_MAX_NAME_CHARACTERS = 60


class AuthorThreads:
    """The threads that were started after this object was made. For one thread."""

    def __init__(self) -> None:
        """Takes the threads that run now for those of others."""
        self._others = set(threading.enumerate())
        self._found: dict[threading.Thread, None] = {}

    def new(self) -> list[threading.Thread]:
        """Returns the running threads that were started since the call before."""
        running = threading.enumerate()
        found = [thread for thread in running if thread not in self._others and thread not in self._found]
        self._found.update(dict.fromkeys(found))
        return found

    def wait(self, seconds: float) -> list[threading.Thread]:
        """Waits until the threads have ended, at most so many seconds; returns all that were found up to now."""
        self.new()
        deadline = time.monotonic() + seconds
        for thread in self._found:
            with contextlib.suppress(RuntimeError, AssertionError):  # a thread of C code, which cannot be waited for
                thread.join(max(0.0, deadline - time.monotonic()))
        return list(self._found)


def describe_threads(threads: Collection[threading.Thread], own: Collection[str]) -> str:
    """Returns the names of threads, each with the line of the author's files where it is now, if it is in one."""
    frames = sys._current_frames()  # noqa: SLF001 - the documented way
    shown = []
    for thread in list(threads)[:_MAX_SHOWN]:
        name = foreign_text(thread.name, _MAX_NAME_CHARACTERS)
        frame = frames.get(thread.ident or 0)
        lines = reversed(traceback.extract_stack(frame)) if frame is not None else ()
        where = next((f" at {foreign_text(line.filename)}:{line.lineno}" for line in lines if line.filename in own), "")
        shown.append(f"{name!r}{where}")
    more = len(threads) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
