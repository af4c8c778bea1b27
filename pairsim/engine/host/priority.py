"""Lets the takeover have the processors while the kernel releases the memory of an engine that has ended.

For a large process this takes a processor for many milliseconds, in which the area stands still. Nobody waits for it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_LOWEST = 19


def put_last(pid: int) -> None:
    """Gives the threads of a process the lowest priority.

    Where the kernel divides the processors among sessions first (autogroups, see sched(7)), its session gets it, too.
    """
    process = Path(f"/proc/{pid}")
    with contextlib.suppress(OSError):  # it has ended
        for thread in (process / "task").iterdir():
            os.setpriority(os.PRIO_PROCESS, int(thread.name), _LOWEST)
    with contextlib.suppress(OSError):  # the kernel has no autogroups
        (process / "autogroup").write_text(str(_LOWEST))
