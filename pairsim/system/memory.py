"""The memory that this process may use: that of its control groups (cgroups(7), versions 1 and 2) and of its machine.

File pages count as free, since the kernel drops them before it kills a process. Swap counts as memory.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import msgspec

_FILES_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file"))
_FILES_V2 = ("memory.max", "memory.current", ("inactive_file", "active_file"))


class MemoryAllowance(msgspec.Struct, frozen=True):
    """The memory of a process, in bytes.

    Attributes:
        limit: All that the process may use, together with the other processes of its control group or machine.
        available: The part of it that is free.
        own: The part of it that this process and its descendants use.
    """

    limit: int
    available: int
    own: int = 0


def read_memory(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> MemoryAllowance | None:
    """Returns the tightest limit on this process's memory; None if the system does not tell."""
    try:
        machine = _of_machine(proc / "meminfo")
    except (OSError, ValueError, KeyError):
        return None
    swap = machine.limit - _fields(proc / "meminfo", ":")["MemTotal"] * 1024
    found = [machine, *_of_groups(proc / "self" / "cgroup", cgroups, swap)]
    limit, available = min(memory.limit for memory in found), min(memory.available for memory in found)
    return MemoryAllowance(limit, available, _own(proc))


def oom_kills(vmstat: Path = Path("/proc/vmstat")) -> int:
    """Returns how many processes of the machine the kernel has killed for the lack of memory since its start."""
    try:
        return _fields(vmstat, " ").get("oom_kill", 0)
    except (OSError, ValueError):
        return 0


def _own(proc: Path) -> int:
    """Returns the memory of this process and of its descendants; what they share with it counts once."""
    resident, _shared = _pages(proc / "self")
    for process in _descendants(proc, proc / "self"):
        theirs, shared = _pages(process)
        resident += theirs - shared
    return resident * resource.getpagesize()


def _pages(process: Path) -> tuple[int, int]:
    """Returns how many pages of a process are in memory, and how many of them belong to files or shared memory."""
    try:
        _size, resident, shared, *_more = (process / "statm").read_text().split()
        return int(resident), int(shared)
    except (OSError, ValueError):  # it has ended
        return 0, 0


def _descendants(proc: Path, process: Path) -> Iterator[Path]:
    try:
        threads = list((process / "task").iterdir())
    except OSError:
        return
    for thread in threads:
        try:
            children = (thread / "children").read_text().split()
        except OSError:  # it has ended, or a kernel without CONFIG_PROC_CHILDREN
            continue
        for child in children:
            yield proc / child
            yield from _descendants(proc, proc / child)


def _of_machine(path: Path) -> MemoryAllowance:
    fields = _fields(path, ":")
    return MemoryAllowance(
        1024 * (fields["MemTotal"] + fields["SwapTotal"]), 1024 * (fields["MemAvailable"] + fields["SwapFree"])
    )


def _of_groups(path: Path, cgroups: Path, swap: int) -> Iterator[MemoryAllowance]:
    """Yields the limits of the control groups that hold this process; a container sees its own group at the root."""
    try:
        lines = [line.split(":", 2) for line in path.read_text().splitlines()]
    except (OSError, ValueError):
        return
    for _number, controllers, inside in (line for line in lines if len(line) == 3):
        if controllers and "memory" not in controllers.split(","):
            continue
        roots = [cgroups / "memory"] if controllers else [cgroups, cgroups / "unified"]
        for root in roots:
            group = root / inside.lstrip("/")
            for folder in (group, *group.parents):
                if not folder.is_relative_to(root):
                    break
                memory = _of_group(folder, *(_FILES_V1 if controllers else _FILES_V2), swap)
                if memory is not None:
                    yield memory


def _of_group(folder: Path, limit: str, usage: str, reclaimable: tuple[str, ...], swap: int) -> MemoryAllowance | None:
    """Returns the memory of one control group; None if it has no limit."""
    try:
        most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
        pages = _fields(folder / "memory.stat", " ")
    except (OSError, ValueError):  # no such folder, or the word "max"
        return None
    cached = sum(pages.get(name, 0) for name in reclaimable)
    return MemoryAllowance(most + swap, max(0, most + swap - used + cached))


def _fields(path: Path, separator: str) -> dict[str, int]:
    pairs = (line.split(separator, 1) for line in path.read_text().splitlines())
    return {name: int(rest.split()[0]) for name, rest in pairs}
