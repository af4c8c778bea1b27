"""A control group for the target of a stress and its stressors, as a container has one; version 1 and 2.

The processes go back to where they were when it is over.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from pairsim_chaos.target import WorldError

_MOUNTS = Path("/proc/mounts")


class Group:
    """Of one target."""

    def __init__(self, name: str, controllers: Sequence[str]) -> None:
        """Makes it.

        Raises:
            WorldError: Control groups cannot be made here.
        """
        self._folders: dict[str, Path] = {}
        self._before: dict[tuple[str, int], Path] = {}
        roots = hierarchies(controllers)
        try:
            for controller, root in roots.items():
                folder = root / name
                folder.mkdir(exist_ok=True)
                self._folders[controller] = folder
        except OSError as error:
            self.close()
            raise WorldError(f"a control group cannot be made: {error.strerror}") from error

    def limit_memory(self, size: int) -> None:
        """In bytes.

        Raises:
            WorldError: It cannot be limited.
        """
        folder = self._folders["memory"]
        try:
            for name in ("memory.max", "memory.limit_in_bytes"):
                if (folder / name).exists():
                    (folder / name).write_text(str(size))
        except OSError as error:
            raise WorldError(f"memory cannot be limited: {error.strerror}") from error

    def add(self, pid: int) -> None:
        """Puts a process in.

        Raises:
            WorldError: It is gone.
        """
        for controller, folder in self._folders.items():
            before = _where(pid, controller, folder.parent)
            try:
                (folder / "cgroup.procs").write_text(str(pid))
            except OSError as error:
                raise WorldError(f"process {pid} cannot be put into a control group: {error.strerror}") from error
            self._before[controller, pid] = before

    def close(self) -> None:
        """Puts everybody back who is still there, and removes it."""
        for (_, pid), before in self._before.items():
            with contextlib.suppress(OSError):
                (before / "cgroup.procs").write_text(str(pid))
        for folder in set(self._folders.values()):
            with contextlib.suppress(OSError):
                folder.rmdir()


def remove_left_overs(mark: str) -> int:
    """Takes away groups that runs which were killed left, whose names begin with `mark`; how many there were."""
    found = 0
    for root in {Path(line.split()[1]) for line in _MOUNTS.read_text().splitlines() if line.split()[2][:6] == "cgroup"}:
        for folder in root.glob(f"{mark}-*"):
            found += 1
            with contextlib.suppress(OSError):
                for pid in (folder / "cgroup.procs").read_text().split():
                    (root / "cgroup.procs").write_text(pid)
                folder.rmdir()
    return found


def hierarchies(controllers: Sequence[str]) -> dict[str, Path]:
    """Where groups of each controller are made.

    Raises:
        WorldError: One of them is not there, or only for others.
    """
    found: dict[str, Path] = {}
    for line in _MOUNTS.read_text().splitlines():
        _, mounted, kind, options, *_ = line.split()
        root = Path(mounted)
        if kind == "cgroup2" and (root / "cgroup.subtree_control").exists():
            given = (root / "cgroup.subtree_control").read_text().split()
        elif kind == "cgroup":
            given = options.split(",")
        else:
            continue
        found.update(
            {controller: root for controller in controllers if controller in given and controller not in found}
        )
    missing = [controller for controller in controllers if controller not in found]
    if missing:
        raise WorldError(f"there is no control group for {', '.join(missing)}")
    for root in found.values():
        if not os.access(root, os.W_OK):
            raise WorldError("control groups are made by root alone")
    return found


def _where(pid: int, controller: str, root: Path) -> Path:
    """The group that a process is in."""
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
