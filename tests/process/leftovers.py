"""File systems and networks that killed test runs leave behind; the next run removes them.

Their names contain the id of the test process, which shows whether it still runs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

OURS = "pairsim-test"
_PATTERN = re.compile(rf"{OURS}-(\d+)")
MINE = f"{OURS}-{os.getpid()}"


def run(*command: str) -> str:
    """Runs a command and returns what it prints.

    Raises:
        subprocess.CalledProcessError: The command failed.
    """
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


def is_left_over(name: str) -> bool:
    """Returns whether the test process that chose a name has ended."""
    found = _PATTERN.match(name)
    return found is not None and not Path(f"/proc/{found.group(1)}").exists()


def unmount_left_overs() -> None:
    """Unmounts the file systems of killed runs."""
    for line in Path("/proc/mounts").read_text().splitlines():
        source, path = line.split()[:2]
        if is_left_over(source):
            run("umount", "--lazy", path)


def remove_left_over_networks() -> None:
    """Removes the namespaces and bridges of killed runs."""
    for namespace in json.loads(run("ip", "-json", "netns", "list") or "[]"):
        if is_left_over(namespace["name"]):
            run("ip", "netns", "delete", namespace["name"])
    for link in json.loads(run("ip", "-json", "link", "show", "type", "bridge") or "[]"):
        if link and is_left_over(link.get("ifalias", "")):
            run("ip", "link", "delete", link["ifname"])
