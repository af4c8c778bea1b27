"""`pairsim up` as a process, with the output that its operator reads."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from pairsim.model.world_status import WorldStatus
from tests.harness import DIE_WITH_PARENT, ROOT, free_ports

PAIRSIM = (sys.executable, "-m", "pairsim")
T = TypeVar("T")

WORLD = """
apiVersion: pairsim.io/v1alpha1
kind: Plane
metadata: {name: physics}
spec:
  simulator: physics
  tickRate: 30
  bounds: {min: [0, 0, 0], max: [1000, 1000, 1000]}
  parameters: {collisions: false}
---
apiVersion: pairsim.io/v1alpha1
kind: Area
metadata: {name: west}
spec:
  plane: physics
  bounds: {min: [0, 0, 0], max: [1000, 1000, 1000]}
  entities: 50
"""


def command(*words: str, seconds: float = 20.0, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a `pairsim` command as a user does."""
    return subprocess.run(
        [*PAIRSIM, *words], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False, **options
    )  # type: ignore[call-overload,no-any-return]


class RunningWorld:
    """`pairsim up`, started once or several times on the same data; the output of all starts is in one file."""

    def __init__(self, folder: Path) -> None:
        self.data, self._output = folder / "data", folder / "output"
        self.file = folder / "world.yaml"
        self.file.write_text(WORLD)
        self.port = str(free_ports(1)[0])
        self.process: subprocess.Popen[bytes] | None = None
        self._began = 0

    def start(self, *words: str, stdout: int | None = None) -> None:
        """Starts the world; its output goes to the file, or to the descriptor `stdout`."""
        with self._output.open("ab") as output:
            self._began = output.tell()
            self.process = subprocess.Popen(
                [
                    *DIE_WITH_PARENT, *PAIRSIM, "up", str(self.file),
                    "--data", str(self.data), "--port", self.port, *words,
                ],
                cwd=ROOT, stdout=output if stdout is None else stdout, stderr=output,
            )  # fmt: skip

    def output(self) -> list[str]:
        """Returns the lines of the newest start so far, each with its time."""
        with self._output.open("rb") as output:
            output.seek(self._began)
            return output.read().decode().splitlines()

    def messages(self, since: int = 0) -> list[str]:
        """Returns the lines of the newest start without their times, from line number `since` on."""
        return [re.sub(r"^\d\d:\d\d:\d\d\.\d{3}  ", "", line) for line in self.output()[since:]]

    def wait_for(self, pattern: str, since: int = 0, seconds: float = 30.0) -> re.Match[str]:
        """Waits for a message that matches a pattern, and returns the match."""
        return until(
            lambda: next(filter(None, (re.fullmatch(pattern, line) for line in self.messages(since))), None),
            f"a message matches {pattern!r}",
            self.messages,
            seconds,
        )

    def status(self) -> WorldStatus:
        """Returns the status of the world; a request costs a hundredth of the command `pairsim status`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/world", timeout=20) as answer:
            return msgspec.json.decode(answer.read(), type=WorldStatus)

    def entity_ids(self, area: str) -> dict[str, set[int]]:
        """Returns the ids of an area's entities as each replica that can be read has them now.

        The number of entities in a status may be a second old.
        """
        (found,) = [each for each in self.status().areas if each.area == area]
        ids = {}
        for replica in found.replicas:
            with contextlib.suppress(OSError):
                ids[replica.replica] = _entity_ids(replica.url)
        return ids

    def wait_until_redundant(self) -> WorldStatus:
        """Waits until the area is redundant and there is a spare; returns the status."""

        def look() -> WorldStatus | None:
            status = self.status()
            return status if status.areas[0].redundant and status.spares else None

        return until(look, "the area is redundant and there is a spare", self.messages)

    def pids(self) -> set[int]:
        """Returns the process ids of all processes of the world."""
        status = self.status()
        found = [r.pid for r in status.areas[0].replicas]
        found += [status.areas[0].witness.pid, *(spare.pid for spare in status.spares)]
        return {pid for pid in found if pid is not None}

    def run(self, *words: str) -> str:
        """Runs a command on this world, which must succeed, and returns its output."""
        done = command(*words, "--port", self.port)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait_for_exit(self, seconds: float = 20.0) -> int:
        """Waits for the end of the process and returns its exit code."""
        assert self.process is not None
        code = self.process.wait(seconds)
        self.process = None
        return code

    def close(self) -> None:
        """Ends the world with all of its processes, whatever state it is in."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def _entity_ids(url: str) -> set[int]:
    ids: set[int] = set()
    after: int | None = -1
    while after is not None:
        path = f"{url}/v1/entities?limit=10000&after={after}"
        with urllib.request.urlopen(path, timeout=10) as answer:  # noqa: S310 - a process of the test's own world
            page = json.load(answer)
        ids.update(entity["id"] for entity in page["entities"])
        after = page["next"]
    return ids


def is_running(pid: int) -> bool:
    """Returns whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(look: Callable[[], T | None], what: str, seen: Callable[[], object] = lambda: "", seconds: float = 30.0) -> T:
    """Waits until `look` returns a true value, and returns that value; `what` describes the condition."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"not true after {seconds} s: {what}; seen: {seen()}"
        time.sleep(0.05)
