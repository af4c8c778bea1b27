"""The Raft thread of one area, in a simulator process or in a witness process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from pairsim.replication.membership.membership import Membership
from pairsim.replication.process.fatal import exit_process
from pairsim.replication.waiting import join

JOIN_SECONDS = 5.0
"""The longest wait for a thread of an area that is being closed."""


class DrivenNode(Protocol):
    """What a Raft thread drives: an `AreaNode` or a `WitnessNode`."""

    membership: Membership

    def turn_raft(self, wait: float) -> tuple[object, ...]:
        """Runs one turn, which waits at most `wait` seconds; returns the values whose change is a change of status."""


class RaftLoop:
    """A thread that runs the turns of a node and reports changes of its status."""

    def __init__(
        self, node: DrivenNode, wait: float, *, thread_name: str, failure: str, on_change: Callable[[], None]
    ) -> None:
        """Creates the thread without starting it.

        Args:
            node: The node to drive.
            wait: The longest wait of a turn, in seconds.
            thread_name: The name of the thread.
            failure: The reason that is reported when a turn raises. The process ends then: half a member is worse than
                a lost one.
            on_change: Called in the thread when the status changed.
        """
        self._node, self._wait, self._failure, self._on_change = node, wait, failure, on_change
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=thread_name, daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end, without a wait."""
        self._stopped.set()
        self._node.membership.wake()

    def join(self) -> None:
        """Waits for the end of the thread, for a limited time; does nothing in the thread itself."""
        if self._thread is not threading.current_thread():
            join(self._thread, JOIN_SECONDS)

    def _run(self) -> None:
        before: tuple[object, ...] = ()
        try:
            while not self._stopped.is_set():
                status = self._node.turn_raft(self._wait)
                if status != before:
                    before = status
                    self._on_change()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process must end
            exit_process(self._failure, error)
