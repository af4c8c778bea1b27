"""How a process is told to stop, by whoever started it."""

from __future__ import annotations

import signal

ALONE = (signal.SIGTERM, signal.SIGINT)
"""The world goes on: an active hands over first."""

WITH_THE_WORLD = signal.SIGUSR1
"""All of the world's processes stop: whoever an active could hand over to stops as well."""
