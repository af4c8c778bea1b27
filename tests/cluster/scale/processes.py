"""Processes of a trial: they end with the process that started them, however that ends."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.cluster.native.sandbox import ClusterError


def wait(what: str, holds: Callable[[], bool], seconds: float, pause: float = 0.05) -> None:
    """Until something holds.

    Raises:
        ClusterError: Not in time.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)


class Processes:
    """Started in a folder, where their logs are too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str | Path, env: Mapping[str, str] | None = None) -> int:
        """Starts a program; its process id. Ctrl-C does not reach it, the death of this process does."""
        words = ("setpriv", "--pdeathsig", "KILL", *(str(word) for word in command))
        with (self.folder / f"{name}.log").open("ab") as out:
            self._running[name] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True
            )
        return self._running[name].pid

    def stop(self, name: str) -> None:
        """Asks one to end, then makes it."""
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def check(self) -> None:
        """Raises ClusterError if one has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                said = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise ClusterError(f"{name} has ended ({process.returncode}): {said}")

    def close(self) -> None:
        """Ends them all, the last one first."""
        for name in reversed(list(self._running)):
            self.stop(name)
