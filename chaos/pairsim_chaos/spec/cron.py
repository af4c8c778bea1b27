"""Checks cron expressions as Chaos Mesh reads them.

An expression has five fields, or six with seconds first, or is a descriptor such as `@every 5m`. The reference is the
parser of robfig/cron v3 with optional seconds and descriptors. This module checks an expression and does not compute
points in time.
"""

from __future__ import annotations

from pairsim.wording import counted
from pairsim_chaos.spec.quantities import parse_duration

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_DESCRIPTORS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_MAX_CHARACTERS = 256


def cron_problem(text: str) -> str:
    """Returns the problem of an expression as the predicate of a sentence; empty if the expression is valid."""
    if len(text) > _MAX_CHARACTERS:
        return "is too long"
    if text.startswith(("TZ=", "CRON_TZ=")):
        text = text.partition(" ")[2].strip()
    if text.startswith("@"):
        return "" if text in _DESCRIPTORS or every(text) is not None else f"has an unknown descriptor {text!r}"
    fields = text.split()
    if len(fields) not in (5, 6):
        return f"has {counted(len(fields), 'field')}, not 5, or 6 with seconds first"
    for field, (name, low, high, names) in zip(reversed(fields), reversed(_FIELDS), strict=False):
        if not all(_part_fits(part, low, high, names) for part in field.split(",") if part):
            return f"has {field!r} as its {name}, which must be within {low} and {high}"
        if not field.strip(","):
            return f"has no {name}"
    return ""


def every(text: str) -> float | None:
    """Returns the seconds before each run, the first included, of `@every 5m`; None for schedules by wall clock."""
    return parse_duration(text.removeprefix("@every ")) if text.startswith("@every ") else None


def _part_fits(part: str, low: int, high: int, names: dict[str, int]) -> bool:
    """Returns whether an item of a list is valid: `*`, `?`, `3` or `1-5`, each with an optional step as in `*/5`."""
    span, slash, step = part.partition("/")
    if slash and not (step.isascii() and step.isdecimal() and int(step) > 0):
        return False
    if span in ("*", "?"):
        return True
    first, dash, last = span.partition("-")
    start, end = _number(first, names), _number(last, names) if dash else None
    if start is None or (dash and end is None):
        return False
    return low <= start <= (start if end is None else end) <= high


def _number(text: str, names: dict[str, int]) -> int | None:
    if text.lower() in names:
        return names[text.lower()]
    return int(text) if text.isascii() and text.isdecimal() else None
