"""Parses the texts that Chaos Mesh reads with Go's parsers: durations, percentages, rates, sizes and status codes.

Each function returns None for a text that Go would reject, so that the linter and the runner agree with Chaos Mesh.
"""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"[-+]?(?:{_PART.pattern})+")
_MAX_DURATION_SECONDS = 2**63 / 1e9
"""Go holds a duration as nanoseconds in 64 bits."""
_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_RATE = re.compile(r"([0-9]+)\s*([tgmk]?)(bit|bps)")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_PREFIXES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_MAX_CHARACTERS = 64
"""Longer texts are rejected; a sensible number never reaches this length."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def parse_duration(text: str) -> float | None:
    """Returns the seconds of a duration as Go's time.ParseDuration reads it: `1m30s`, `-1.5h`, `300ms`.

    The largest unit is the hour; Go has no unit for a day.
    """
    if text in ("0", "+0", "-0"):
        return 0.0
    if len(text) > _MAX_CHARACTERS or not _DURATION.fullmatch(text):
        return None
    size = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if size >= _MAX_DURATION_SECONDS:
        return None
    return -size if text.startswith("-") else size


def parse_float(text: str) -> float | None:
    """Returns the value of a decimal number."""
    return float(text) if len(text) <= _MAX_CHARACTERS and _FLOAT.fullmatch(text) else None


def parse_int(text: str) -> int | None:
    """Returns the value of an integer as Go's strconv.Atoi reads it: ASCII digits with an optional sign."""
    return int(text) if len(text) <= _MAX_CHARACTERS and re.fullmatch(r"[-+]?[0-9]+", text) else None


def parse_rate(text: str) -> int | None:
    """Returns the bits per second of a rate such as `10mbit` or `1mbps`; `bps` means bytes per second."""
    found = _RATE.fullmatch(text.strip().lower()) if len(text) <= _MAX_CHARACTERS else None
    if found is None or int(found[1]) >= 2**64:
        return None
    return int(found[1]) * int(1000 ** _PREFIXES[found[2]]) * (8 if found[3] == "bps" else 1)


def parse_size(text: str) -> float | None:
    """Returns the bytes of a size as docker's units.FromHumanSize reads it.

    `256MB` and `1GiB` are examples; docker counts in powers of 1000 for both spellings.
    """
    found = _SIZE.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    return float(found[1]) * 1000 ** _PREFIXES[found[2].lower()] if found else None


def parse_percent(text: str) -> int | None:
    """Returns the number of a share of the memory such as `50%`."""
    return parse_int(text[:-1]) if text.endswith("%") else None


def parse_status_codes(text: str) -> tuple[int, int] | None:
    """Returns the first and last HTTP status code of a text such as `200` or `200-399`."""
    first, dash, last = text.partition("-")
    codes = parse_int(first), parse_int(last if dash else first)
    if codes[0] is None or codes[1] is None or not all(0 < code < 1000 for code in codes if code is not None):
        return None
    return codes[0], codes[1]


def is_dns_name(text: str) -> bool:
    """Returns whether Kubernetes accepts the text as a name (DNS-1123 subdomain)."""
    return len(text) <= 253 and _NAME.fullmatch(text) is not None
