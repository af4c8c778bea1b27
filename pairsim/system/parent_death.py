"""Processes that must not outlive the process that started them."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
"""From `linux/prctl.h`; see prctl(2)."""


def request_signal_on_parent_death(number: signal.Signals) -> None:
    """Makes the kernel send a signal to the calling process as soon as its parent has ended.

    A child calls this between fork and exec (`preexec_fn`), so the function only makes a few system calls. The signal
    gets its default action and is unblocked: a child inherits what its parent's parent ignored or blocked.

    Args:
        number: The signal.
    """
    if number != signal.SIGKILL:  # which nothing can ignore or block
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
