"""How an engine ended, in words, from the kernel's account of it and from what it left behind."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Collection

from pairsim.engine.descriptors import DISCONNECTED_EXIT_CODE, UNEXECUTABLE_EXIT_CODE
from pairsim.model.simulation.foreign_text import foreign_text

DISCONNECTED = "closed its connection to the node"
_MAX_STAT_BYTES = 4096
_FRAME = re.compile(r'^  File "(?P<file>.{1,500})", line (?P<line>\d{1,9}) in (?P<function>.{1,200})$', re.MULTILINE)
_STATE, _EXIT_CODE = 0, 49
"""Places of fields of /proc/PID/stat behind the program's name; see proc(5)."""

_WAITING = "/pairsim/engine/channel.py"
"""The end of the file whose frame is innermost while an engine waits for a request."""

_STATES = {"T": "it is stopped by a signal", "t": "it is held by a debugger", "D": "it waits for a disk or a device"}


def location(report: bytes, files: Collection[str]) -> str:
    """Returns where the engine's code was, such as "in step at /plugins/growth.py:12"; empty if that is unknown.

    An engine that waited for its node did nothing of the author's: something else has ended it.

    Args:
        report: What the engine's runtime wrote: a traceback with the innermost frame first.
        files: The author's files. The innermost frame in one of them is named; without one, the innermost of all.
    """
    text = foreign_text(report.partition(b"\0")[0].decode(errors="replace"), len(report))
    frames = list(_FRAME.finditer(text))
    own = {file.encode("ascii", "backslashreplace").decode() for file in files}
    frame = next((frame for frame in frames if frame["file"] in own), frames[0] if frames else None)
    if frame is not None and frame["file"].endswith(_WAITING):
        return "while it waited for its node"
    return f"in {frame['function']} at {frame['file']}:{frame['line']}" if frame is not None else ""


def ending(status: int | None) -> str:
    """Returns how a process ended, as a phrase whose subject is the process.

    Args:
        status: Its exit code, or the negative number of the signal that ended it; None if that is unknown.
    """
    if status is None:
        return "ended"
    if status == DISCONNECTED_EXIT_CODE:
        return DISCONNECTED
    if status == UNEXECUTABLE_EXIT_CODE:
        return "cannot be executed (its log says why)"
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was ended by {name}"


def early_status(pid: int) -> int | None:
    """Returns the exit status of a process that is ending; None if the kernel does not tell yet.

    The kernel knows the status milliseconds before the process can be waited for.
    """
    fields = _stat(pid)
    if len(fields) <= _EXIT_CODE or not fields[_EXIT_CODE].isdigit():
        return None
    code = int(fields[_EXIT_CODE])
    if code == 0:  # it may have ended with 0, or not have begun to end
        return None
    return -(code & 0x7F) if code & 0x7F else code >> 8


def stopped_phrase(pid: int) -> str:
    """Returns why a process that does not answer makes no progress; empty if it runs or waits as any process does."""
    fields = _stat(pid)
    return _STATES.get(fields[_STATE], "") if fields else ""


def _stat(pid: int) -> list[str]:
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY)  # an area waits for this
    except OSError:
        return []
    try:
        return os.read(fd, _MAX_STAT_BYTES).decode(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
    finally:
        os.close(fd)
