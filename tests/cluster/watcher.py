"""A watch on objects of the API server, which keeps them by name with the time, and waits for conditions."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.cluster.native.sandbox import ClusterError

Object = dict[str, Any]
_LOOK = 0.1


class Watcher:
    """Follows a kind of objects with `kubectl get --watch` in a thread, and restarts the command when it ends."""

    def __init__(self, command: Callable[..., list[str]], kind: str, *words: str) -> None:
        self._command = command("get", kind, *words, "--watch", "--output-watch-events", "--output=json")
        self._changed = threading.Condition()
        self._closed = False
        self._process: subprocess.Popen[str] | None = None
        self._seen: list[Callable[[float, str, Object], None]] = []
        self.objects: dict[str, Object] = {}
        self._thread = threading.Thread(target=self._run, name=f"watch-{kind}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        if self._process is not None:
            self._process.kill()
        self._thread.join(10)

    def each(self, call: Callable[[float, str, Object], None]) -> None:
        """Registers a callback for each event, with its Unix time, type and object; it runs in the watching thread."""
        self._seen.append(call)

    def wait(self, what: str, holds: Callable[[dict[str, Object]], Any], seconds: float) -> Any:
        """Waits until `holds` returns a true value for the objects; returns that value.

        Raises:
            ClusterError: Not in time.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (found := holds(self.objects)):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise ClusterError(f"{what}: not within {seconds:.0f} s")
                self._changed.wait(min(left, _LOOK))  # what it depends on may be another kind's
            return found

    def _run(self) -> None:
        while not self._closed:
            with self._changed:
                self.objects = {}
                for call in self._seen:
                    call(time.time(), "RESTART", {})
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1
            )
            assert self._process.stdout is not None
            with self._process.stdout:
                for line in self._process.stdout:
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # too slow for the API server, or too old: begin anew
                        break
                    self._take(event)
            self._process.kill()
            self._process.wait()
            if not self._closed:
                time.sleep(0.2)

    def _take(self, event: Object) -> None:
        at, kind, found = time.time(), event["type"], event["object"]
        name = found["metadata"]["name"]
        with self._changed:
            if kind == "DELETED":
                self.objects.pop(name, None)
            else:
                self.objects[name] = found
            for call in self._seen:
                call(at, kind, found)
            self._changed.notify_all()
