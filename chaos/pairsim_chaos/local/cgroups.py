"""A control group for a stressed process and its stress workers, as a container has one; supports versions 1 and 2.

The processes return to their former groups when the stress is over.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pairsim_chaos.target import WorldError

_MOUNTS = Path("/proc/mounts")


class ControlGroup:
    """The control group of one stressed process."""

    def __init__(self, name: str, controllers: Sequence[str]) -> None:
        """Creates the group below the root of each controller.

        Raises:
            WorldError: This machine does not allow control groups.
        """
        self._folders: dict[str, Path] = {}
        self._former: dict[tuple[str, int], Path] = {}
        roots = hierarchies(controllers)
        try:
            for controller, root in roots.items():
                folder = root / name
                folder.mkdir(exist_ok=True)
                self._folders[controller] = folder
        except OSError as error:
            self.close()
            raise WorldError(f"a control group cannot be created: {error.strerror}") from error

    def limit_memory(self, size: int) -> None:
        """Limits the memory of the group to `size` bytes.

        Raises:
            WorldError: The kernel refuses the limit.
        """
        folder = self._folders["memory"]
        try:
            for name in ("memory.max", "memory.limit_in_bytes"):
                if (folder / name).exists():
                    (folder / name).write_text(str(size))
        except OSError as error:
            raise WorldError(f"memory cannot be limited: {error.strerror}") from error

    def add(self, pid: int) -> None:
        """Moves a process into the group.

        Raises:
            WorldError: The process is gone.
        """
        for controller, folder in self._folders.items():
            former = _current_group(pid, controller, folder.parent)
            try:
                (folder / "cgroup.procs").write_text(str(pid))
            except OSError as error:
                raise WorldError(f"process {pid} cannot be moved into a control group: {error.strerror}") from error
            self._former[controller, pid] = former

    def close(self) -> None:
        """Moves the remaining processes back to their former groups, and removes the group."""
        for (_, pid), former in self._former.items():
            with contextlib.suppress(OSError):
                (former / "cgroup.procs").write_text(str(pid))
        for folder in set(self._folders.values()):
            with contextlib.suppress(OSError):
                folder.rmdir()


def remove_leftovers(prefix: str) -> int:
    """Removes the groups of killed runs, whose names start with `prefix`; returns their number."""
    found = 0
    for root in {Path(line.split()[1]) for line in _MOUNTS.read_text().splitlines() if line.split()[2][:6] == "cgroup"}:
        for folder in root.glob(f"{prefix}-*"):
            with contextlib.suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    (root / "cgroup.procs").write_text(pid)
                folder.rmdir()
                found += 1
    return found


def hierarchies(controllers: Sequence[str]) -> dict[str, Path]:
    """Returns the folder in which groups of each controller are created.

    Raises:
        WorldError: A controller is missing, or this user may not create groups.
    """
    found: dict[str, Path] = {}
    for line in _MOUNTS.read_text().splitlines():
        _, mounted, kind, options, *_ = line.split()
        root = Path(mounted)
        if kind == "cgroup2" and (root / "cgroup.subtree_control").exists():
            available = (root / "cgroup.subtree_control").read_text().split()
        elif kind == "cgroup":
            available = options.split(",")
        else:
            continue
        found.update(
            {controller: root for controller in controllers if controller in available and controller not in found}
        )
    missing = [controller for controller in controllers if controller not in found]
    if missing:
        raise WorldError(f"this machine has no control groups for {', '.join(missing)}")
    for root in found.values():
        if not os.access(root, os.W_OK):
            raise WorldError("control groups need root")
    return found


def _current_group(pid: int, controller: str, root: Path) -> Path:
    """Returns the folder of the group that a process is in.

    Raises:
        WorldError: The process is gone.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError as error:
        raise WorldError(f"process {pid} is gone") from error
    for line in lines:
        found = re.fullmatch(r"\d+:([^:]*):/?(.*)", line)
        if found and (controller in found[1].split(",") or not found[1]):
            inside = root / found[2]
            if inside.is_dir():
                return inside
    return root
