"""Texts that Go parses: accepted and rejected examples, each checked against Go's documentation."""

from __future__ import annotations

import pytest

from pairsim_chaos.spec import quantities
from pairsim_chaos.spec.cron import cron_problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("90s", 90.0), ("1m30s", 90.0), ("1.5h", 5400.0), ("300ms", 0.3), ("-5s", -5.0), ("+.5s", 0.5), ("1.s", 1.0)),
        *(("0", 0.0), ("1us", 1e-6), ("1µs", 1e-6), ("2562047h", 2562047 * 3600.0)),
        *(
            (text, None)
            for text in ("", "1d", "90", "1 s", "s", "1m30", "--1s", "1S", "2562048h", "1s" * 40, "\uff11s")
        ),
    ],
)
def test_durations_are_parsed(text: str, expected: float | None) -> None:
    assert quantities.parse_duration(text) == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("1mbit", 1_000_000), ("1 MBIT", 1_000_000), (" 8bps ", 64), ("2tbps", 16 * 10**12), ("0bit", 0)),
        *((text, None) for text in ("1mb", "-1mbit", "1.5mbit", "mbit", "1pbit", "", "9" * 30 + "bit", "1mbit/s")),
    ],
)
def test_rates_are_parsed(text: str, expected: int | None) -> None:
    assert quantities.parse_rate(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("256MB", 256e6),
        ("1GiB", 1e9),
        ("1.5 k", 1500.0),
        ("7", 7.0),
        ("7b", 7.0),
        ("MB", None),
        ("1EB", None),
        ("-1MB", None),
    ],
)
def test_sizes_are_parsed(text: str, expected: float | None) -> None:
    assert quantities.parse_size(text) == expected


def test_numbers_and_percentages_are_parsed() -> None:
    assert [quantities.parse_float(text) for text in ("30", "1.5", ".5", "1e1", "30%", "", "nan", "0x1", "1_0")] == [
        *(30.0, 1.5, 0.5, 10.0),
        *(None,) * 5,
    ]
    assert [quantities.parse_int(text) for text in ("2", "+2", "-2", "2.0", "", "two", "٢")] == [2, 2, -2, *(None,) * 4]
    assert [quantities.parse_percent(text) for text in ("50%", "50", "5.5%")] == [50, None, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200", (200, 200)),
        ("200-399", (200, 399)),
        *((bad, None) for bad in ("", "2xx", "0", "1000", "200-", "200-1000")),
    ],
)
def test_status_codes_are_parsed(text: str, expected: tuple[int, int] | None) -> None:
    assert quantities.parse_status_codes(text) == expected


@pytest.mark.parametrize("text", ["a", "a-b.c", "0", "a" * 253])
def test_valid_names_are_accepted(text: str) -> None:
    assert quantities.is_dns_name(text)


@pytest.mark.parametrize("text", ["", "A", "a_b", "-a", "a-", "a..b", "a.", "a" * 254, "a\n"])
def test_invalid_names_are_rejected(text: str) -> None:
    assert not quantities.is_dns_name(text)


@pytest.mark.parametrize(
    "text",
    [
        *("* * * * *", "*/10 * * * *", "0 */5 * * * ?", "1-5,10 0 1 jan-MAR mon,fri", "5/15 * * * *"),
        *("@every 5m", "@every 1h30m", "@hourly", "@daily", "TZ=UTC 0 6 * * ?", "CRON_TZ=Europe/Berlin @daily"),
    ],
)
def test_valid_cron_expressions_are_accepted(text: str) -> None:
    assert cron_problem(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 7"),
        *("5-1 * * * *", "*/0 * * * *", "*/x * * * *", "a * * * *", "1- * * * *", ", * * * *", "* * * mon *"),
        *("@every", "@every 5", "@often", "@Daily", "TZ=UTC", "* " * 200, "-1 * * * *", "٣ * * * *"),
    ],
)
def test_invalid_cron_expressions_are_rejected(text: str) -> None:
    assert cron_problem(text) != ""
