"""Which reports become warnings: a problem is reported once, and only if it lasts.

A takeover takes some ten milliseconds, in which an area has no active, and a process that died is back within a second:
neither is worth a warning. Processes that were just started and cannot be reached yet are not worth one either.
"""

from __future__ import annotations

from collections.abc import Iterable

from pairsim_controller.plan.view import Report

REPORT_AFTER_SECONDS = 1.0
"""Seconds that a problem must last before it is reported."""

STARTUP_SECONDS = 10.0
"""Seconds after the first call in which nothing is reported, unless only an operator can end it."""

REPEAT_SECONDS = 60.0
"""Seconds in which a report with changing numbers is made once: they may cross their bound again and again."""

_Key = tuple[str, str]


class WarningDebouncer:
    """Remembers the problems and the warnings that were made of them; does no I/O."""

    def __init__(self, startup_seconds: float = STARTUP_SECONDS) -> None:
        """Returns no warning in the first `startup_seconds` after the first call."""
        self._startup_seconds = startup_seconds
        self._since: dict[_Key, float] = {}
        self._warned: dict[_Key, tuple[Report, float]] = {}
        self._start_at: float | None = None

    def new_warnings(self, reports: Iterable[Report], now: float) -> list[Report]:
        """Takes in all problems of the moment; returns those to warn of now.

        A problem that ends is forgotten, and may be reported again later. If something else blocks it now, or it
        has another cause, it is reported again at once.
        """
        problems = {_key(report): report for report in reports}
        if self._start_at is None:
            self._start_at = now + self._startup_seconds
        self._since = {key: self._since.get(key, now) for key in problems}
        self._warned = {
            key: (report, at)
            for key, (report, at) in self._warned.items()
            if key in problems or (report.reason and now - at < REPEAT_SECONDS)
        }
        begun_before = now - REPORT_AFTER_SECONDS
        new = {
            key: (report, now)
            for key, report in problems.items()
            if self._is_new(key, report)
            and self._since[key] <= begun_before
            and (report.cause or now >= self._start_at)
        }
        self._warned |= new
        return [report for report, _at in new.values()]

    def _is_new(self, key: _Key, report: Report) -> bool:
        if key not in self._warned:
            return True
        before, _at = self._warned[key]
        return (before.blocked, before.cause) != (report.blocked, report.cause)

    @property
    def active(self) -> list[Report]:
        """The warnings whose problem still lasts, in the words in which they were made."""
        return [report for key, (report, _at) in self._warned.items() if key in self._since]


def _key(report: Report) -> _Key:
    return report.area, report.reason or report.message.removesuffix(f"; {report.blocked}")
