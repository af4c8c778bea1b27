"""Rules of the linter and the problems that they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pairsim_chaos.spec.embedded_specs import EmbeddedSpec
from pairsim_chaos.spec.field_path import Field


class Problem(NamedTuple):
    """A problem with one field.

    Attributes:
        field: The field.
        wrong: The problem with the field, as a clause.
        suggestion: What the user should write instead.
    """

    field: Field
    wrong: str
    suggestion: str


class Rule(NamedTuple):
    """A rule of the linter.

    Attributes:
        name: The short name that stands in brackets behind every finding.
        kinds: The kinds whose specs the rule checks.
        says: The requirement as one sentence for the table in the documentation.
        check: A pure function that yields the problems of a spec.
    """

    name: str
    kinds: tuple[str, ...]
    says: str
    check: Callable[[EmbeddedSpec], Iterator[Problem]]
