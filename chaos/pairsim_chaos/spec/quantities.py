"""Texts that Chaos Mesh reads as Go does: durations, percentages, rates, sizes, status codes.

Each function gives None for what Go would refuse, so that a linter and a runner agree with it.
"""

from __future__ import annotations

import re

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"[-+]?(?:{_PART.pattern})+")
_LONGEST = 2**63 / 1e9
"""Seconds that fit into Go's 64 bits of nanoseconds."""
_FLOAT = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_RATE = re.compile(r"([0-9]+)\s*([tgmk]?)(bit|bps)")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_PREFIXES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_LONG = 64
"""Characters that no number of ours reaches."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def seconds(text: str) -> float | None:
    """Of a duration as Go's time.ParseDuration reads it: `1m30s`, `-1.5h`, `300ms`; there is no day."""
    if text in ("0", "+0", "-0"):
        return 0.0
    if len(text) > _LONG or not _DURATION.fullmatch(text):
        return None
    size = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if size >= _LONGEST:
        return None
    return -size if text.startswith("-") else size


def number(text: str) -> float | None:
    """Of a decimal number."""
    return float(text) if len(text) <= _LONG and _FLOAT.fullmatch(text) else None


def whole(text: str) -> int | None:
    """Of a whole number as Go's strconv.Atoi reads it: digits alone, with a sign at most."""
    return int(text) if len(text) <= _LONG and re.fullmatch(r"[-+]?[0-9]+", text) else None


def bits_per_second(text: str) -> int | None:
    """Of a rate: `10mbit`, `1mbps`; `bps` means bytes a second."""
    found = _RATE.fullmatch(text.strip().lower()) if len(text) <= _LONG else None
    if found is None or int(found[1]) >= 2**64:
        return None
    return int(found[1]) * int(1000 ** _PREFIXES[found[2]]) * (8 if found[3] == "bps" else 1)


def size_bytes(text: str) -> float | None:
    """Of a size as docker's units.FromHumanSize reads it: `256MB`, `1GiB` (both count in thousands there)."""
    found = _SIZE.fullmatch(text) if len(text) <= _LONG else None
    return float(found[1]) * 1000 ** _PREFIXES[found[2].lower()] if found else None


def share(text: str) -> int | None:
    """Of a share of the memory: `50%`."""
    return whole(text[:-1]) if text.endswith("%") else None


def status_codes(text: str) -> tuple[int, int] | None:
    """First and last of the HTTP status codes that `200` or `200-399` stands for."""
    first, dash, last = text.partition("-")
    codes = whole(first), whole(last if dash else first)
    if codes[0] is None or codes[1] is None or not all(0 < code < 1000 for code in codes if code is not None):
        return None
    return codes[0], codes[1]


def dns_name(text: str) -> bool:
    """Whether Kubernetes takes it as a name (DNS-1123 subdomain)."""
    return len(text) <= 253 and _NAME.fullmatch(text) is not None
