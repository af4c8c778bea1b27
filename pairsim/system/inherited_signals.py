"""Signals that the program which starts a process has ignored or blocked for it.

A process inherits the ignored signals and the blocked ones of its parent. `nohup` ignores SIGHUP, so that a program
goes on when its terminal is closed: an ignored or blocked SIGHUP is therefore left as it is. The other signals that
stop a process are how its keeper ends it in order, so they arrive whatever was inherited.
"""

from __future__ import annotations

import signal
from collections.abc import Collection


def accepted_stop_signals(wanted: Collection[signal.Signals]) -> tuple[signal.Signals, ...]:
    """Returns the signals for which the process may install a handler, and unblocks them.

    The main thread calls this before it installs the handlers.

    Args:
        wanted: The signals that stop the process if it may receive them.

    Returns:
        The wanted signals, without SIGHUP if the process inherited it as ignored or blocked.
    """
    hangup_kept = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN or signal.SIGHUP in _blocked()
    accepted = tuple(number for number in wanted if number != signal.SIGHUP or not hangup_kept)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, accepted)
    return accepted


def restore_child_reports() -> None:
    """Makes the kernel keep the exit codes of children: it drops them where an inherited SIGCHLD is ignored."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _blocked() -> set[signal.Signals | int]:
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())
