"""The processes that the author's code has started: they are in the engine's session, and end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

_PROC = Path("/proc")
_STATE, _SESSION = 0, 3
"""Places of fields of /proc/PID/stat behind the program's name; see proc(5)."""

_POLL_SECONDS = 0.005


def end_session(leader: int, seconds: float) -> bool:
    """Kills the processes of a session, and waits until they have ended.

    Its leader must not have been waited for: until then no other process can have its number.

    Args:
        leader: The process id of the leader, which is the number of the session.
        seconds: The time limit.

    Returns:
        Whether they have ended in time.
    """
    deadline = time.monotonic() + seconds
    while members := _members(leader):
        if time.monotonic() > deadline:
            return False
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)
    return True


def wait_for_adopted(leader: int) -> None:
    """Waits for ended processes of a session that this process has adopted, as the first one of a container does."""
    with contextlib.suppress(ChildProcessError):
        while os.waitid(os.P_PGID, leader, os.WEXITED | os.WNOHANG) is not None:
            pass


def _members(leader: int) -> list[int]:
    """Returns the processes of a session that have not ended."""
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit() and _is_member(entry, leader)]


def _is_member(entry: Path, leader: int) -> bool:
    try:
        fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return False
    return len(fields) > _SESSION and fields[_STATE] not in "ZX" and int(fields[_SESSION]) == leader
