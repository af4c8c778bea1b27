"""What a simulator process and a witness process have in common.

A process listens at one peer port, resumes the memberships that its data folder holds, takes and releases areas one at
a time, and reports changes of its status to listeners.
"""

from __future__ import annotations

import abc
import threading
import time
from collections.abc import Callable
from typing import Generic, ParamSpec, Protocol

import structlog

from pairsim.model.assignment import Assignment
from pairsim.replication.process.group_resources import PeerRouter, delete_area
from pairsim.replication.process.resumption import saved_assignments
from pairsim.replication.transport.peer_port import PeerPort
from pairsim.settings import ProcessSettings

log = structlog.get_logger()

P = ParamSpec("P")
"""The arguments of a listener."""


class RunningArea(Protocol):
    """The threads of an area in this process."""

    def close(self) -> None:
        """Leaves the area and ends its threads; its files stay."""


class ProcessShell(abc.ABC, Generic[P]):
    """The shell of a process around its areas. Any thread may call it.

    Attributes:
        settings: The settings of the process.
        started_at: When the process started, in seconds since the epoch.
    """

    def __init__(self, settings: ProcessSettings) -> None:
        """Listens at the peer port; a subclass calls `_resume` when it is ready for areas."""
        self.settings = settings
        self.started_at = time.time()
        self._router = PeerRouter()
        self._moving = threading.Lock()
        self._leaving = False
        self._listeners_lock = threading.Lock()
        self._listeners: list[Callable[P, None]] = []
        self._peer_port = PeerPort(
            settings.peer,
            settings.secrets,
            settings.timing.connect_timeout,
            name=settings.name,
            on_unproven=self._router.on_unproven,
        )
        self._peer_port.register("raft", self._router.accept_raft)
        self._peer_port.register("sync", self._router.accept_stream)
        self._peer_port.register("interface", self._router.accept_interface)
        self._peer_port.register("link", self._router.accept_link)

    def watch(self, listener: Callable[P, None]) -> Callable[[], None]:
        """Calls the listener on each change, from several threads; returns a function that ends it."""
        with self._listeners_lock:
            self._listeners = [*self._listeners, listener]

        def end() -> None:
            with self._listeners_lock:
                self._listeners = [known for known in self._listeners if known is not listener]

        return end

    def leave(self) -> None:
        """Announces that the process will end soon: its status says so from now on."""
        self._leaving = True
        self._report_change()

    def close(self) -> None:
        """Leaves all areas and closes the peer port; the files stay, so that a restart resumes."""
        self._close_areas()
        self._peer_port.close()

    def _notify(self, *args: P.args, **kwargs: P.kwargs) -> None:
        for listener in self._listeners:
            listener(*args, **kwargs)

    def _resume(self, at_most: int | None = None) -> None:
        """Takes the areas that the data folder holds, in the order of their names."""
        for assignment in saved_assignments(self.settings.data)[:at_most]:
            self._start(assignment)

    def _remove(self, area: str) -> None:
        """Leaves an area and deletes its files; does nothing if the area is not here."""
        with self._moving:  # until the files are gone: they must not be those of a membership that follows
            running = self._take_out(area)
            if running is None:
                return
            self._router.drop(area)
            running.close()
            delete_area(self.settings.data, area)
        log.info("area released", replica=self.settings.name, area=area)
        self._report_change()

    def _retire(self, area: str) -> None:
        """Removes an area that continues without this process; its own thread, which calls this, cannot wait for it."""
        threading.Thread(target=self._remove, args=(area,), name="retire", daemon=True).start()

    @abc.abstractmethod
    def _start(self, assignment: Assignment) -> None:
        """Starts an area that is not here yet."""

    @abc.abstractmethod
    def _take_out(self, area: str) -> RunningArea | None:
        """Removes an area from this process's areas and returns it; None if it is not here. Under `_moving`."""

    @abc.abstractmethod
    def _close_areas(self) -> None:
        """Leaves all areas."""

    @abc.abstractmethod
    def _report_change(self) -> None:
        """Tells the listeners that the status changed."""
