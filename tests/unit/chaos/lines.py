"""Findings as `pairsim-chaos lint` prints them, without the file."""

from __future__ import annotations

from pairsim_chaos.lint.lint import lint


def told(text: str) -> list[str]:
    return [f"{line}: {field}: {wrong}; {instead} [{rule}]" for line, field, wrong, instead, rule in lint(text)]
