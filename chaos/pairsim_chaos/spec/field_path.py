"""What rules look at: a field of a document with its place, whatever it holds.

Rules run on files that the schema refuses too, so that all slips are told at once. A field that is not there, or of
another type than a rule expects, therefore gives nothing instead of an exception; the type is the schema's matter.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pairsim.model.documents.yaml import YamlPath, YamlValue


@dataclass(frozen=True)
class Field:
    """A place in a document and what is written there; None if nothing is."""

    place: YamlPath
    value: YamlValue

    def at(self, *names: str) -> Field:
        """The field below it, by names."""
        value = self.value
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return Field((*self.place, *names), value)

    @property
    def there(self) -> bool:
        """Whether something is written: null counts as nothing, as it does to the API server."""
        return self.value is not None

    def below(self, place: YamlPath) -> Field:
        """The field at a place below it, through lists as well."""
        value = self.value
        for part in place:
            if isinstance(value, dict) and isinstance(part, str):
                value = value.get(part)
            elif isinstance(value, list) and isinstance(part, int):
                value = value[part]
            else:
                value = None
        return Field((*self.place, *place), value)

    @property
    def text(self) -> str:
        """A string; empty if it is none."""
        return self.value if isinstance(self.value, str) else ""

    @property
    def is_text(self) -> bool:
        """Whether it is a string, an empty one included."""
        return isinstance(self.value, str)

    @property
    def whole(self) -> int | None:
        """A whole number; None if it is none."""
        return self.value if isinstance(self.value, int) and not isinstance(self.value, bool) else None

    @property
    def fields(self) -> tuple[Field, ...]:
        """Those of a mapping."""
        value = self.value
        return tuple(self.at(name) for name in value) if isinstance(value, dict) else ()

    @property
    def items(self) -> tuple[Field, ...]:
        """Those of a list."""
        value = self.value
        if not isinstance(value, list):
            return ()
        return tuple(Field((*self.place, number), each) for number, each in enumerate(value))

    @property
    def name(self) -> str:
        """Its own, without those above it."""
        return str(self.place[-1]) if self.place else ""


def written(place: YamlPath) -> str:
    """A place as a user knows it: `spec.templates[2].name`; names with dots in brackets."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier() or part.replace("-", "").isalnum():
            text += f".{part}" if text else part
        else:
            text += f"[{shown(part)}]"
    return text or "(document)"


def shown(value: object) -> str:
    """A value in a sentence: on one line, and short."""
    plain = isinstance(value, str)
    text = repr(str(value)[:100].encode("utf-8", "replace").decode()) if plain else reprlib.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class Slip(NamedTuple):
    """What a rule found: the field, what is wrong with it, what to write instead."""

    field: Field
    wrong: str
    instead: str


class Body(NamedTuple):
    """A spec of one kind, wherever it stands.

    Attributes:
        kind: Its kind.
        spec: The spec.
        host: What it stands in: a document, the body of a `Schedule`, a template of a `Workflow`.
        within: `document`, `schedule` or `template`.
    """

    kind: str
    spec: Field
    host: Field
    within: str


class Rule(NamedTuple):
    """One rule.

    Attributes:
        name: Short, in brackets behind every finding.
        kinds: Whose bodies it looks at.
        says: For the table in the docs.
        check: Pure.
    """

    name: str
    kinds: tuple[str, ...]
    says: str
    check: Callable[[Body], Iterator[Slip]]
