"""`pairsim up` as a process, and what its operator reads."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from pairsim.model.world_status import WorldStatus
from tests.harness import ROOT, free_ports

PAIRSIM = (sys.executable, "-m", "pairsim")
# A run that is killed takes the world along, and that its processes.
_WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()
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
    """A command of its own, as a user runs it."""
    return subprocess.run(
        [*PAIRSIM, *words], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False, **options
    )  # type: ignore[call-overload,no-any-return]


class Up:
    """One `pairsim up` after the other on the same data, with what all of them told in one file."""

    def __init__(self, folder: Path) -> None:
        self.data, self._output = folder / "data", folder / "story"
        self.file = folder / "world.yaml"
        self.file.write_text(WORLD)
        self.port = str(free_ports(1)[0])
        self.process: subprocess.Popen[bytes] | None = None
        self._began = 0

    def start(self, *words: str, stdout: int | None = None) -> None:
        """Starts it, with what it tells in a file, or where `stdout` says."""
        with self._output.open("ab") as output:
            self._began = output.tell()
            self.process = subprocess.Popen(
                [*_WITH_US, *PAIRSIM, "up", str(self.file), "--data", str(self.data), "--port", self.port, *words],
                cwd=ROOT, stdout=output if stdout is None else stdout, stderr=output,
            )  # fmt: skip

    def story(self) -> list[str]:
        """What the last start told so far, each sentence with its time."""
        with self._output.open("rb") as output:
            output.seek(self._began)
            return output.read().decode().splitlines()

    def sentences(self, since: int = 0) -> list[str]:
        """The same without times."""
        return [re.sub(r"^\d\d:\d\d:\d\d\.\d{3}  ", "", line) for line in self.story()[since:]]

    def told(self, pattern: str, since: int = 0) -> re.Match[str]:
        """Waits for a sentence."""
        return until(
            lambda: next(filter(None, (re.fullmatch(pattern, line) for line in self.sentences(since))), None),
            f"it tells {pattern!r}",
            self.sentences,
        )

    def picture(self) -> WorldStatus:
        """What `pairsim status --json` says."""
        done = command("status", "--json", "--port", self.port)
        assert done.returncode == 0, done.stderr
        return msgspec.convert(json.loads(done.stdout), WorldStatus)

    def whole(self) -> WorldStatus:
        """Waits until the area is redundant and there is a spare."""

        def look() -> WorldStatus | None:
            picture = self.picture()
            return picture if picture.areas[0].redundant and picture.spares else None

        return until(look, "the world is whole", self.sentences)

    def pids(self) -> set[int]:
        """Of all processes of the world."""
        picture = self.picture()
        found = [r.pid for r in picture.areas[0].replicas]
        found += [picture.areas[0].witness.pid, *(spare.pid for spare in picture.spares)]
        return {pid for pid in found if pid is not None}

    def order(self, *words: str) -> str:
        """A command at this world that must succeed; what it tells."""
        done = command(*words, "--port", self.port)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self, seconds: float = 20.0) -> int:
        """Waits for its end; the exit code."""
        assert self.process is not None
        code = self.process.wait(seconds)
        self.process = None
        return code

    def close(self) -> None:
        """Ends it, whatever state it is in, with all of its processes."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(look: Callable[[], T | None], what: str, seen: Callable[[], object] = lambda: "", seconds: float = 30.0) -> T:
    """Waits for a condition and returns what it found."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"after {seconds} s it is still not so that {what}: {seen()}"
        time.sleep(0.05)
