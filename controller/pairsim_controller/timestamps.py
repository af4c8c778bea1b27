"""Points in time as text, for objects of the API server and for lines that a user reads."""

from __future__ import annotations

import datetime as dt
import time


def rfc3339(seconds: float) -> str:
    """Returns a Unix time as RFC 3339 in UTC with milliseconds, as in `2026-01-31T12:00:00.125Z`."""
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def micro_time(seconds: float) -> str:
    """Returns a Unix time as Kubernetes' MicroTime: RFC 3339 in UTC with six digits, of which three are zero."""
    return rfc3339(seconds).removesuffix("Z") + "000Z"


def time_of_day(seconds: float) -> str:
    """Returns the local time of day of a Unix time with milliseconds, as in `13:00:00.125`."""
    return time.strftime("%H:%M:%S", time.localtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}"
