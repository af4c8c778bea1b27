"""The signals by which a parent process or the kubelet asks a process to stop."""

from __future__ import annotations

import signal

HANDOVER = (signal.SIGTERM, signal.SIGINT)
"""Signals that stop this process alone. The world keeps running, so an active hands over before it ends."""

WORLD_SHUTDOWN = signal.SIGUSR1
"""The signal that stops a process together with all others of its world. An active does not hand over, since its
passive stops as well."""
