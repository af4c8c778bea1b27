"""Numbers in sentences: counted things and durations, written in one way everywhere."""

from __future__ import annotations

import math
import re

_DIGITS = 3
_AMOUNTS = re.compile(r"\d+(?:\.\d+)? (?:s|ms|entities)\b")


def counted(count: int, noun: str, plural: str = "") -> str:
    """Returns a count with its noun: `1 area`, `2 areas`.

    Args:
        count: The number of things.
        noun: The noun for one of them.
        plural: The noun for several; by default the noun with an s.
    """
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Returns a duration with three significant digits: `10 s` for 9.99997, `0.5 s`, `86400 s`.

    Time that is left until a deadline is never a round number, and its last digits mean nothing to a reader.
    """
    if not math.isfinite(seconds) or seconds == 0:
        return f"{seconds:g} s"
    places = _DIGITS - 1 - math.floor(math.log10(abs(seconds)))
    return f"{round(seconds, max(places, 0)):.15g} s"


def without_amounts(sentence: str) -> str:
    """Returns a sentence without its durations and counts of entities, to compare it with another one.

    They change all the time while a sentence means the same.
    """
    return _AMOUNTS.sub("", sentence)
