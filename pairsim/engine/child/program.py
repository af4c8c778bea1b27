"""The process of an engine: tied to its node, with one thread for the author's code."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import select
import signal
import socket
import sys
import threading
from pathlib import Path

from pairsim.engine.channel import MessageChannel
from pairsim.engine.child.answering import Answering
from pairsim.engine.child.warming import warm_up
from pairsim.engine.descriptors import DISCONNECTED_EXIT_CODE, MEMORY, NODE_PID, REPORT, SOCKET
from pairsim.engine.liveness import LifeWord
from pairsim.system.output import use_reliable_output
from pairsim.system.parent_death import request_signal_on_parent_death

_OOM_SCORE = Path("/proc/self/oom_score_adj")
_LIKELIER_VICTIM = 200
"""The kernel that runs out of memory should end the engine and not its node, which has the vote."""

_STDERR = 2


def main(*, warm: bool = False) -> None:
    """Answers the requests of the node until the node closes the connection; then the process ends.

    Args:
        warm: Whether to load the libraries that take longest, as long as no request comes.
    """
    _end_with_node(int(os.environ.pop(NODE_PID, "0")))
    _end_quickly()
    signal.signal(signal.SIGINT, lambda _number, _frame: None)  # what the author's code starts does not inherit that
    use_reliable_output()
    faulthandler.enable(REPORT, all_threads=False)
    faulthandler.register(signal.SIGQUIT, REPORT, all_threads=False)
    _Forks()
    _show_life()
    connection = socket.socket(fileno=SOCKET)
    channel = MessageChannel(connection)
    if warm:
        warm_up(lambda: bool(select.select([connection], [], [], 0)[0]))
    try:
        _serve(channel)
    except (EOFError, ConnectionError):
        code = 0  # the node has closed the connection, or has ended
    except (OSError, ValueError) as error:  # the author's code has closed the descriptor, or has read from it
        sys.stderr.write(f"the conversation with the node failed: {error}\n")
        code = DISCONNECTED_EXIT_CODE
    _flush()
    os._exit(code)


def _serve(channel: MessageChannel) -> None:
    answering = Answering()
    while True:
        kind, body = channel.receive()
        answer = answering.answer(kind, body)
        _flush()
        channel.send(answer)


def _end_with_node(node: int) -> None:
    """Makes the kernel end this process when the node ends."""
    request_signal_on_parent_death(signal.SIGKILL)
    if node and os.getppid() != node:  # it ended before the request
        os._exit(0)


def _end_quickly() -> None:
    """Lets the kernel end this process before its node, and without writing a core file, which can take seconds.

    The author's code may raise the limit of core files again.
    """
    with contextlib.suppress(OSError, ValueError):
        _OOM_SCORE.write_text(str(min(1000, int(_OOM_SCORE.read_text()) + _LIKELIER_VICTIM)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _show_life() -> None:
    """Starts the thread whose end shows the node that this process has ended."""
    owned = threading.Event()

    def own() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            word = LifeWord(MEMORY)  # it stays mapped as long as this thread runs
            word.own()
        finally:
            owned.set()
        threading.Event().wait()

    threading.Thread(target=own, name="life", daemon=True).start()
    owned.wait()


class _Forks:
    """What happens in the processes that the author's code forks: they have no part in the talk with the node."""

    def __init__(self) -> None:
        self._by_main_thread = False
        os.register_at_fork(before=self._before, after_in_child=self._in_child)

    def _before(self) -> None:
        self._by_main_thread = threading.current_thread() is threading.main_thread()

    def _in_child(self) -> None:
        with contextlib.suppress(OSError):
            os.close(SOCKET)
        with contextlib.suppress(Exception):
            faulthandler.enable(sys.__stderr__ or _STDERR)
            faulthandler.unregister(signal.SIGQUIT)
        if self._by_main_thread:  # the end of another thread, which is its parent then, would end the process
            request_signal_on_parent_death(signal.SIGKILL)


def _flush() -> None:
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except BaseException:  # noqa: BLE001, S112 - the author's code may have put anything in its place
            continue
