"""Processes that must not outlive the process that started them."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
"""From `linux/prctl.h`; see prctl(2)."""


def request_signal_on_parent_death(number: signal.Signals) -> None:
    """Makes the kernel send a signal to the calling process as soon as its parent has ended.

    A child calls this between fork and exec (`preexec_fn`), so the function only makes one system call.

    Args:
        number: The signal.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
