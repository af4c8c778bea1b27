"""The processes of engines that a node starts before it has loaded what an area needs.

An engine for simulators in Python begins *blank*: it loads numpy and waits for the name of a simulator (HELLO). So a
node that gets an area starts its engine first, and loads its own part of the area meanwhile; one that resumes an area
does so as its first act. A spare may keep a blank engine *warm*: that one has loaded the libraries that take longest,
too, and never code of an author. A node has one blank engine at most, and none beside the engine of an area. The engine
ends with its node like any other, and when it ends by itself, another one takes its place after a pause.

This module loads neither numpy nor anything else that only an area needs, since a spare must stay small.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from pairsim.engine.framing import encode_hello
from pairsim.engine.host.child_process import ChildProcess
from pairsim.engine.host.output import EngineLog
from pairsim.engine.host.spawn import python_engine
from pairsim.model.area import AreaSpec
from pairsim.model.simulation.module_names import is_program

log = structlog.get_logger()

CALM_SECONDS = 5.0
"""How long a node has been a spare before it starts a warm engine. Often a new spare is needed at once, or others start
beside it, and loading libraries would keep them from the processors."""

FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 60.0
"""The first and the longest pause before another warm engine is started in place of one that ended."""

_LASTING_SECONDS = 60.0
"""A warm engine that has lived for so long was not broken: the pause after its end is short again."""

_HELLO_SECONDS = 5.0


class Launch(Protocol):
    """Starts the process of an engine for simulators in Python."""

    def __call__(self, on_end: Callable[[str], None], *, warm: bool) -> ChildProcess:
        """Starts a process.

        Args:
            on_end: Called in another thread with the reason when the process has ended.
            warm: Whether the engine loads the libraries that take longest while it waits.

        Raises:
            OSError: The process cannot be started.
        """


class EngineLauncher:
    """The engine of one node that has no replica yet. Any thread may call it."""

    def __init__(
        self,
        log_file: Path,
        *,
        launch: Launch | None = None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        """Starts nothing yet.

        Args:
            log_file: The file for the output of engines.
            launch: Starts a process; without it, a real one.
            clock: Returns monotonic seconds.
            wait: Waits for an event for so many seconds.
        """
        self._log_file = log_file
        self._launch: Launch = launch or self._launch_process
        self._clock, self._wait = clock, wait
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._spec: AreaSpec | None = None
        self._number = 0
        self._keeping, self._began, self._pause = False, 0.0, FIRST_PAUSE_SECONDS
        self._stop = threading.Event()

    @property
    def pid(self) -> int | None:
        """The process id of the engine that was not taken; None without one."""
        child = self._child
        return child.pid if child is not None else None

    def begin(self, spec: AreaSpec) -> None:
        """Starts the engine of an area that this node is about to take."""
        if is_program(spec.simulator):
            return
        with self._lock, contextlib.suppress(OSError):  # `take` tries again
            if self._child is None:
                self._start(warm=False)
                self._greet(spec)

    def keep(self) -> None:
        """Keeps a warm engine from now on: this node is a spare."""
        with self._lock:
            if self._keeping:
                return
            self._keeping, self._stop = True, threading.Event()
            self._start_later(None, CALM_SECONDS)

    def take(self, spec: AreaSpec) -> ChildProcess | None:
        """Returns the process of an engine that has been asked for the simulator of an area.

        It belongs to the caller, and no warm engine is kept any more. Returns None for a simulator that is a program,
        and if no process can be started; the caller's own attempt says why then.
        """
        with self._lock:
            child = self._child
            fits = child is not None and not child.ended.is_set() and self._spec in (None, spec)
            if is_program(spec.simulator) or not fits:
                self._discard()
            if is_program(spec.simulator):
                return None
            with contextlib.suppress(OSError):
                if self._child is None:
                    self._start(warm=False)
                if self._spec is None:
                    self._greet(spec)
            taken = self._child
            self._forget()
            return taken

    def drop(self) -> None:
        """Ends the engine that was not taken, and keeps none any more."""
        with self._lock:
            self._discard()

    # --- under the lock

    def _start(self, *, warm: bool) -> None:
        self._number += 1
        number = self._number
        self._child, self._began = self._launch(lambda reason: self._on_end(number, reason), warm=warm), self._clock()

    def _greet(self, spec: AreaSpec) -> None:
        self._spec = spec
        message = encode_hello(spec)
        if self._child is not None:
            with contextlib.suppress(OSError):  # it has ended, which its user learns soon
                self._child.channel.send(message, _HELLO_SECONDS)

    def _forget(self) -> None:
        self._child, self._spec, self._keeping = None, None, False
        self._stop.set()

    def _discard(self) -> None:
        child = self._child
        self._forget()
        if child is not None:
            # Its thread may wait for the lock.
            threading.Thread(target=child.close, name="engine-close", daemon=True).start()

    def _keep_one(self) -> None:
        try:
            self._start(warm=True)
        except OSError as error:
            self._replace_later(None, f"could not be started: {error.strerror}")

    def _replace_later(self, child: ChildProcess | None, reason: str) -> None:
        if self._clock() - self._began >= _LASTING_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        pause, self._pause = self._pause, min(2 * self._pause, MAX_PAUSE_SECONDS)
        log.warning("the warm engine ended", reason=reason, again_in=pause)
        self._start_later(child, pause)

    def _start_later(self, before: ChildProcess | None, pause: float) -> None:
        work = (before, self._stop, pause)
        threading.Thread(target=self._await_start, args=work, name="engine-warm", daemon=True).start()

    # --- threads of their own

    def _on_end(self, number: int, reason: str) -> None:
        with self._lock:
            child = self._child
            if child is None or number != self._number or not self._keeping or self._spec is not None:
                return
            self._child = None
            self._replace_later(child, reason)

    def _await_start(self, before: ChildProcess | None, stop: threading.Event, pause: float) -> None:
        if before is not None:
            before.close()
        self._wait(stop, pause)
        with self._lock:
            if self._keeping and stop is self._stop and self._child is None:
                self._keep_one()

    def _launch_process(self, on_end: Callable[[str], None], *, warm: bool) -> ChildProcess:
        return ChildProcess(python_engine(warm=warm), EngineLog(self._log_file).write, on_end)
