"""Findings in the form in which `pairsim-chaos lint` prints them, without the file name."""

from __future__ import annotations

from pairsim_chaos.lint.lint import lint


def printed(text: str) -> list[str]:
    return [f"{line}: {field}: {wrong}; {suggestion} [{rule}]" for line, field, wrong, suggestion, rule in lint(text)]
