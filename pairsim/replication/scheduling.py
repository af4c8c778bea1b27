"""How the kernel shares processors between the threads of a process.

A thread that wakes preempts the thread of the processor on which it is woken, for a slice of about 3 ms. A thread with
the policy SCHED_BATCH does not: it waits for its turn, and has the same share of the processors as any other. See
sched(7) and `wakeup_preempt_fair` in kernel/sched/fair.c of Linux.
"""

from __future__ import annotations

import contextlib
import os


def never_preempt() -> None:
    """Lets the calling thread preempt no other when it wakes, where the system allows that."""
    with contextlib.suppress(OSError):  # a sandbox may forbid the call
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
