"""The engine of an area in its process: started with the area, and again whenever it has failed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from pairsim.engine.host.child_process import ChildProcess
from pairsim.engine.host.output import ENGINE_LOG
from pairsim.engine.host.process import EngineProcess
from pairsim.engine.host.program import find_program
from pairsim.engine.host.spawn import program_engine
from pairsim.engine.port import Engine, EngineError, EngineLostError, EngineRaisedError
from pairsim.model.area import AreaSpec
from pairsim.model.simulation.interface import SimulatorInterface
from pairsim.model.simulation.module_names import is_program
from pairsim.model.simulation.simulator import SimulatorNotFoundError
from pairsim.replication.clock import monotonic
from pairsim.replication.replica.engine.absent import AbsentEngine
from pairsim.replication.replica.engine.failures import EngineFailures
from pairsim.replication.waiting import Wakeup

log = structlog.get_logger()

PREPARE_SECONDS = 600.0
"""The time limit for a simulator to load, compile and create its entities."""

_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 1.0, 60.0
"""The first and the longest pause between two attempts to start an engine."""


class EngineStarter(Protocol):
    """Starts engines."""

    def __call__(self, spec: AreaSpec, data: Path, on_end: Callable[[str], None]) -> Engine:
        """Starts the engine of an area and waits until its simulator is ready.

        Args:
            spec: The area.
            data: The data folder of the process.
            on_end: Called in another thread with the reason when the engine has ended, also when it is closed.

        Raises:
            EngineError: The simulator cannot be used.
        """


def start_engine_process(
    spec: AreaSpec, data: Path, on_end: Callable[[str], None], child: ChildProcess | None = None
) -> EngineProcess:
    """Starts the engine of an area as a process: the program that its simulator names, or the one for Python.

    Args:
        spec: The area.
        data: The data folder of the process.
        on_end: Called as in `EngineStarter`.
        child: The process, if it has been started and asked for the simulator.

    Raises:
        EngineError: The simulator cannot be used.
    """
    command: list[str] | None = None
    if is_program(spec.simulator):
        try:
            command = program_engine(find_program(spec.simulator))
        except SimulatorNotFoundError as error:
            raise EngineRaisedError(str(error)) from error
    engine = EngineProcess(spec, data / ENGINE_LOG, command=command, on_end=on_end, child=child)
    try:
        engine.start(PREPARE_SECONDS)
    except BaseException:
        engine.close()
        raise
    return engine


class EngineProcessStarter:
    """Starts the engines of one area as processes; the first process may have been started before."""

    def __init__(self, launched: ChildProcess | None) -> None:
        """Takes the first process, which has been asked for the simulator; None for a new one."""
        self._launched = launched

    def __call__(self, spec: AreaSpec, data: Path, on_end: Callable[[str], None]) -> Engine:
        """Starts an engine; see `EngineStarter`."""
        launched, self._launched = self._launched, None
        return start_engine_process(spec, data, on_end, launched)

    def close(self) -> None:
        """Ends the first process, if it was not used."""
        if self._launched is not None:
            self._launched.close()


class EngineUser(Protocol):
    """What uses an engine; a replica."""

    failures: EngineFailures

    def offer_engine(self, engine: Engine) -> None:
        """Receives another engine in place of the one that failed."""

    def offer_fresh_engine(self, engine: Engine | EngineError) -> None:
        """Receives an engine beside the one in use, or the reason why none could be started."""

    def on_engine_end(self, reason: str) -> None:
        """Receives that the engine in use has ended."""


class _EngineStart:
    """One start of an engine, and why the engine ended."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.end = ""


class AreaEngine:
    """The engines of one area: the one in use, and now and then a fresh one beside it.

    One thread calls `restart`, `prepare`, `replace` and `drop`; any thread may call `close`.

    Attributes:
        current: The newest engine that was started to be used.
    """

    def __init__(
        self,
        spec: AreaSpec,
        data: Path,
        start: EngineStarter,
        find_interface: Callable[[], SimulatorInterface | None] = lambda: None,
    ) -> None:
        """Starts the first engine, or takes an absent one in its place and starts another one later.

        Args:
            spec: The area.
            data: The data folder of the process.
            start: Starts an engine.
            find_interface: Called if that fails; returns the interface of the simulator, if the area can do without an
                engine for now and the interface is known.

        Raises:
            EngineError: The engine cannot be started, and `find_interface` returned None.
        """
        self._spec, self._data, self._start = spec, data, start
        self._lock = threading.Lock()
        self._stop = Wakeup()
        self._closed = False
        self._user: EngineUser | None = None
        self._on_change: Callable[[], None] = lambda: None
        self._in_use = _EngineStart()  # only the end of this one is reported
        self._fresh: _EngineStart | None = None
        self.current: Engine
        try:
            self.current = self._start_one(self._in_use)
        except EngineError as error:
            interface = find_interface()
            if interface is None:
                raise
            log.error(  # noqa: TRY400 - the traceback is the author's
                "the engine cannot be started, and the replica goes on without one",
                area=spec.area, error=str(error), exception=error.traceback.rstrip() or None,
            )  # fmt: skip
            self.current = AbsentEngine(interface, error)

    @property
    def pid(self) -> int | None:
        """The id of the process of the engine in use; None while it is ended, and for one without a process."""
        start = self._in_use
        return start.engine.pid if start.engine is not None and not start.end else None

    def report_to(self, user: EngineUser, on_change: Callable[[], None]) -> None:
        """Reports ends and new engines to `user` from now on, and changes of the status to `on_change`."""
        self._user, self._on_change = user, on_change
        if isinstance(self.current, AbsentEngine):
            self._run(self._restart, self.current, self._in_use, _FIRST_PAUSE_SECONDS)
        elif self._in_use.end:
            user.on_engine_end(self._in_use.end)

    def restart(self) -> None:
        """Ends the engine and starts another one, again and again until that succeeds, in a thread of its own."""
        self._in_use = _EngineStart()
        self._run(self._restart, self.current, self._in_use)

    def prepare(self) -> None:
        """Starts a fresh engine beside the one in use, once, in a thread of its own."""
        self._fresh = _EngineStart()
        self._run(self._prepare, self._fresh)

    def replace(self, old: Engine, new: Engine) -> None:
        """Uses the fresh engine from now on, and ends the one before it."""
        fresh, self._fresh = self._fresh, None
        self.current = new
        if fresh is not None:
            self._in_use = fresh
            if fresh.end and self._user is not None:
                self._user.on_engine_end(fresh.end)
        self._run(old.close)

    def drop(self, engine: Engine) -> None:
        """Ends an engine that is not used."""
        self._run(engine.close)

    def close(self) -> None:
        """Ends the engines; a call that is under way fails."""
        with self._lock:
            self._closed = True
        self._stop.set()
        self.current.close()
        fresh = self._fresh
        if fresh is not None and fresh.engine is not None:
            fresh.engine.close()

    @staticmethod
    def _run(work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, name="engine-start", daemon=True).start()

    def _restart(self, before: Engine, start: _EngineStart, wait: float = 0.0) -> None:
        before.close()
        pause = _FIRST_PAUSE_SECONDS
        if wait:
            self._stop.wait(wait)
        while not self._closed:
            try:
                engine = self._start_one(start)
                self._check_same(before, engine)
            except EngineError as error:
                log.error("the engine cannot be started", area=self._spec.area, error=str(error), again_in=pause)  # noqa: TRY400 - the traceback is the author's
                self._report_failed_start(error)
                self._stop.wait(pause)
                pause = min(2 * pause, _MAX_PAUSE_SECONDS)
                continue
            with self._lock:
                closed = self._closed
                if self._in_use is start:
                    self.current = engine
            if closed:
                engine.close()
            elif self._user is not None:
                self._user.offer_engine(engine)
            return

    def _prepare(self, start: _EngineStart) -> None:
        user = self._user
        try:
            engine = self._start_one(start)
            self._check_same(self.current, engine)
        except EngineError as error:
            log.error("the fresh engine cannot be started", area=self._spec.area, error=str(error))  # noqa: TRY400 - the traceback is the author's
            if user is not None:
                user.offer_fresh_engine(error)
            return
        with self._lock:
            closed = self._closed
        if closed or user is None:
            engine.close()
        else:
            user.offer_fresh_engine(engine)

    @staticmethod
    def _check_same(before: Engine, engine: Engine) -> None:
        """Closes an engine that has another state than the one before it, and raises EngineLostError.

        The code may be put back, so this is the same as a simulator that cannot be loaded.
        """
        if isinstance(before, AbsentEngine):
            difference = before.difference(engine.components)
        else:
            same = (engine.components, engine.operations) == (before.components, before.operations)
            difference = "" if same else "these cannot change"
        if difference:
            engine.close()
            raise EngineLostError(f"has other components or operations now: {difference}")

    def _report_failed_start(self, error: EngineError) -> None:
        if self._user is not None:
            self._user.failures.on_start_failed(error, monotonic())
            self._on_change()

    def _start_one(self, start: _EngineStart) -> Engine:
        def on_end(reason: str) -> None:
            made.end = reason
            self._on_end(start, made)

        made = _EngineStart()
        start.engine, start.end = None, ""
        start.engine = made.engine = engine = self._start(self._spec, self._data, on_end)
        if made.end:  # before it was known here
            self._on_end(start, made)
        return engine

    def _on_end(self, start: _EngineStart, made: _EngineStart) -> None:
        """Reports the end of the engine in use; `made` is one attempt of its start, and others may have followed."""
        if made.engine is not None and made.engine is start.engine:
            start.end = made.end
            if start is self._in_use and self._user is not None:
                self._user.on_engine_end(made.end)
